import {
  type Fd,
  fileStat,
  OsError,
  type Owned,
  PAGE_SIZE,
  Seal,
  seals,
  type Window,
} from "../os/mod.ts";
import type { VirtioPciControl } from "../pci/mod.ts";
import type { SharedMemoryHost, SharedMemoryRequest } from "../vhost/mod.ts";
import type { SharedMapping, SharedMappings } from "./shared_mappings.ts";

/** Guests get large pages where addresses of both sides agree in this. */
const LARGE_PAGE = 2 ** 21;

/** Mappings that others are asked to let go of before they have answered: they have so long for each answer. */
const AT_ONCE = 64;

type SharedMemoryControl = Pick<
  VirtioPciControl,
  "mapShared" | "unmapShared" | "clearShared" | "sharedAddress"
>;

/** What is mapped at a place of the window. */
interface Mapped {
  readonly length: number;
  /** As other devices know it; undefined where the guest has no address for it. */
  readonly told: SharedMapping | undefined;
}

/** What the memory of a device needs around it. */
export interface SharedMemorySurroundings {
  readonly window: Window;
  /** Other devices hear of it there. */
  readonly mappings: Pick<SharedMappings, "add" | "remove">;
  /** Is told why a wish of the backend cannot be granted. */
  readonly refused: (reason: string) => void;
}

/**
 * The memory that a device's backend shows to its driver, mapped here so that KVM can give it to the guest. This process
 * neither reads nor writes it. One thing is done at a time, in order: a wish is granted when the backends of other devices
 * have dealt with it.
 */
export class DeviceSharedMemory implements SharedMemoryHost {
  readonly #window: Window;
  readonly #control: SharedMemoryControl;
  readonly #mappings: SharedMemorySurroundings["mappings"];
  readonly #refused: (reason: string) => void;
  /** By window offset. */
  readonly #mapped = new Map<number, Mapped>();
  #work: Promise<unknown> = Promise.resolve();

  constructor(
    control: SharedMemoryControl,
    { window, mappings, refused }: SharedMemorySurroundings,
  ) {
    this.#window = window;
    this.#control = control;
    this.#mappings = mappings;
    this.#refused = refused;
  }

  map(request: SharedMemoryRequest, fd: Fd): Promise<boolean> {
    const own = tryDup(fd);
    if (own === undefined) return Promise.resolve(this.#refuse("no more files can be open"));
    return this.#inTurn(() => this.#map(request, own));
  }

  unmap(region: number, offset: number, length: number): Promise<boolean> {
    return this.#inTurn(() => this.#unmap(region, offset, length));
  }

  /** Takes everything away: the device was reset, or is gone. */
  clear(): Promise<void> {
    return this.#inTurn(async () => {
      const told = [...this.#mapped.values()].flatMap(({ told }) => told ?? []);
      for (let i = 0; i < told.length; i += AT_ONCE) {
        const some = told.slice(i, i + AT_ONCE);
        await Promise.all(some.map((mapping) => this.#mappings.remove(mapping)));
      }
      this.#control.clearShared();
      for (const [at, { length }] of this.#mapped) this.#window.free(at, length);
      this.#mapped.clear();
    });
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const done = this.#work.then(step);
    this.#work = done.catch(() => {});
    return done;
  }

  async #map(request: SharedMemoryRequest, fd: Owned<Fd>): Promise<boolean> {
    using _fd = fd;
    const { region, offset, length, fdOffset, writable } = request;
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
    const userAddress = this.#window.base + at;
    if (!this.#control.mapShared({ ...request, userAddress })) {
      this.#window.free(at, length);
      return this.#refuse("the place is taken or outside, or no memory slot is left");
    }
    const guestAddress = this.#control.sharedAddress(region, offset);
    const told = guestAddress === undefined
      ? undefined
      : { guestAddress, size: length, userAddress, fd: fd.move(), fdOffset, writable };
    this.#mapped.set(at, { length, told });
    if (told !== undefined) await this.#mappings.add(told);
    return true;
  }

  async #unmap(region: number, offset: number, length: number): Promise<boolean> {
    const address = this.#control.unmapShared(region, offset, length);
    if (address === undefined) return this.#refuse("there is no such mapping to take away");
    const at = address - this.#window.base;
    const told = this.#mapped.get(at)?.told;
    if (told !== undefined) await this.#mappings.remove(told);
    this.#mapped.delete(at);
    this.#window.free(at, length);
    return true;
  }

  #refuse(reason: string): boolean {
    this.#refused(reason);
    return false;
  }
}

function tryDup(fd: Fd): Owned<Fd> | undefined {
  try {
    return fd.dup();
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    return undefined;
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
