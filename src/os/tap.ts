import { Errno } from "./errno.ts";
import type { Fd } from "./fd.ts";
import type { IoVector } from "./io_vector.ts";
import { library } from "./library.ts";
import { check } from "./os_error.ts";

/** Kinds and properties of a tap (IFF_* of `linux/if_tun.h`). */
export const TapFlag = {
  Tap: 0x0002,
  MultiQueue: 0x0100,
  /** The kernel puts no packets into this queue. */
  Detached: 0x0400,
  NoPacketInfo: 0x1000,
  /** Each packet follows a virtio_net_hdr. */
  VnetHeader: 0x4000,
} as const;

/** What whoever reads from a tap does himself (TUN_F_*). */
export const TapOffload = { Csum: 0x01, Tso4: 0x02, Tso6: 0x04, TsoEcn: 0x08 } as const;

/**
 * The {@link TapFlag}s of a tap's queue, whose headers have 12 bytes (TUNSETVNETHDRSZ).
 *
 * @throws OsError when it is no such thing, EPROTO when its headers have another size
 */
export function tapFlags(fd: Fd): number {
  return check(library().sp_tap_flags(fd.raw()), "use", "a tap");
}

/** Says what packets may be left to who reads them, for all queues. 0 or a negative error number. */
export function setTapOffload(fd: Fd, offloads: number): number {
  return library().sp_tap_offload(fd.raw(), offloads);
}

/** Says whether the kernel puts packets into this queue, of several. Repeating it is no error. */
export function attachTapQueue(fd: Fd, attach: boolean): number {
  const result = library().sp_tap_attach(fd.raw(), attach ? 1 : 0);
  return result === -Errno.EINVAL ? 0 : result;
}

/**
 * The Internet checksum (RFC 1071) of ranges of the window after the first `skip` bytes: the number that stands there,
 * big endian. Negative for a range outside of the window.
 */
export function checksum(vector: IoVector, skip: number): number {
  return library().sp_checksum(vector.offset, vector.count, skip);
}
