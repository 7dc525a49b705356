import { Fd, type Owned } from "./fd.ts";
import { cString, library } from "./library.ts";
import { check } from "./os_error.ts";

/** Seals of a memfd (`fcntl(2)`, F_ADD_SEALS). */
export const Seal = { Seal: 1, Shrink: 2, Grow: 4, Write: 8, FutureWrite: 16 } as const;

/**
 * New anonymous memory, not executable where the kernel can promise that.
 *
 * @param name shown in /proc
 * @param size in bytes
 * @param options `seal: false` leaves the size changeable; otherwise it is fixed for good
 */
export function memfd(name: string, size: number, options: { seal?: boolean } = {}): Owned<Fd> {
  const seal = options.seal === false ? 0 : 1;
  return Fd.own(check(library().sp_memfd(cString(name), size, seal), "allocate memory", name));
}

/**
 * Adds seals, a mask of {@link Seal}, to a memfd.
 *
 * @throws OsError EPERM when it takes no more, EINVAL when it is no memfd
 */
export function addSeals(fd: Fd, mask: number): void {
  check(library().sp_add_seals(fd.raw(), mask), "seal", "memory");
}

/**
 * The seals of a descriptor, as a mask of {@link Seal}. What lacks Seal.Shrink may vanish under a
 * mapping.
 *
 * @throws OsError EINVAL when it is no memfd
 */
export function seals(fd: Fd): number {
  return check(library().sp_seals(fd.raw()), "read the seals of", "a descriptor");
}
