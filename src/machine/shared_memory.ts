import { type Fd, fileStat, OsError, PAGE_SIZE, Seal, seals, type Window } from "../os/mod.ts";
import type { VirtioPciControl } from "../pci/mod.ts";
import type { SharedMemoryHost, SharedMemoryRequest } from "../vhost/mod.ts";

/** Guests get large pages where addresses of both sides agree in this. */
const LARGE_PAGE = 2 ** 21;

type SharedMemoryControl = Pick<VirtioPciControl, "mapShared" | "unmapShared" | "clearShared">;

/**
 * The memory that a device's backend shows to its driver, mapped here so that KVM can give it to the guest. This process
 * neither reads nor writes it.
 */
export class DeviceSharedMemory implements SharedMemoryHost {
  readonly #window: Window;
  readonly #control: SharedMemoryControl;
  readonly #refused: (reason: string) => void;
  /** Lengths of what is mapped, by window offset. */
  readonly #mapped = new Map<number, number>();

  /** @param refused is told why a wish of the backend cannot be granted */
  constructor(window: Window, control: SharedMemoryControl, refused: (reason: string) => void) {
    this.#window = window;
    this.#control = control;
    this.#refused = refused;
  }

  map(request: SharedMemoryRequest, fd: Fd): boolean {
    const { length, fdOffset, writable } = request;
    const reason = whyNot(request, fd);
    if (reason !== undefined) return this.#refuse(reason);
    let at: number | undefined;
    try {
      at = this.#window.allocate(length, LARGE_PAGE);
      // What the guest may only read may be sealed against writing, and then there are no shared mappings.
      this.#window.mapFd(at, length, fd, fdOffset, { write: writable, shared: writable });
    } catch (error) {
      if (at !== undefined) this.#window.free(at, length);
      if (!(error instanceof OsError || error instanceof RangeError)) throw error;
      return this.#refuse(error.message);
    }
    if (!this.#control.mapShared({ ...request, userAddress: this.#window.base + at })) {
      this.#window.free(at, length);
      return this.#refuse("the place is taken or outside, or no memory slot is left");
    }
    this.#mapped.set(at, length);
    return true;
  }

  unmap(region: number, offset: number, length: number): boolean {
    const address = this.#control.unmapShared(region, offset, length);
    if (address === undefined) return this.#refuse("there is no such mapping to take away");
    const at = address - this.#window.base;
    this.#mapped.delete(at);
    this.#window.free(at, length);
    return true;
  }

  /** Takes everything away: the device was reset, or is gone. */
  clear(): void {
    this.#control.clearShared();
    for (const [at, length] of this.#mapped) this.#window.free(at, length);
    this.#mapped.clear();
  }

  #refuse(reason: string): boolean {
    this.#refused(reason);
    return false;
  }
}

/** Why such memory cannot be put before a guest, if it cannot: what vanishes under KVM's feet would end the VM. */
function whyNot(
  { offset, fdOffset, length }: SharedMemoryRequest,
  fd: Fd,
): string | undefined {
  const inPages = [offset, fdOffset, length].every((value) => value % PAGE_SIZE === 0);
  if (!inPages || length === 0) return `${length} bytes at ${fdOffset} for ${offset} are no pages`;
  try {
    if ((seals(fd) & Seal.Shrink) === 0) return "the memory is not sealed against shrinking";
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    return "the descriptor is no memory (memfd)";
  }
  const { size } = fileStat(fd);
  return fdOffset + length > Math.ceil(size / PAGE_SIZE) * PAGE_SIZE
    ? `${length} bytes at ${fdOffset} are not in a memory of ${size}`
    : undefined;
}
