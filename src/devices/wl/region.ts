import { type Fd, fileStat, PAGE_SIZE, RangeAllocator } from "../../os/mod.ts";
import type { SharedMemoryMapper } from "../../virtio/mod.ts";

/** The id of the region. */
const REGION = 0;

/** Mappings begin at multiples of this, so that a guest can have page structures for just one of them (Linux: 2 MiB). */
const GRANULE = 2 ** 21;

/** Memory that the guest sees. */
interface Mapping {
  readonly offset: number;
  readonly length: number;
  /** What it is a mapping of, where it may be there for several descriptors. */
  readonly identity: string | undefined;
  /** How many descriptors of the guest mean it. */
  uses: number;
}

/** The shared memory region of the device: who is where in it. */
export class Region {
  readonly #size: number;
  readonly #mapped = new Map<number, Mapping>();
  /** Those with an identity, by it. */
  readonly #shared = new Map<string, Mapping>();
  #free: RangeAllocator;
  #mapper: SharedMemoryMapper | undefined;

  /** @param size in bytes, a multiple of 2 MiB */
  constructor(size: number) {
    this.#size = size;
    this.#free = this.#wholly();
  }

  get isAttached(): boolean {
    return this.#mapper !== undefined;
  }

  /** Who maps, from now on. Nothing is mapped. */
  attach(mapper: SharedMemoryMapper | undefined): void {
    if (mapper === this.#mapper) return;
    this.clear();
    this.#mapper = mapper;
  }

  /**
   * Shows memory to the guest, whole.
   *
   * @param length in whole pages
   * @param once in the place where it is already, if the guest sees it
   * @returns where in the region, or undefined when there is no room or the frontend refuses
   */
  map(fd: Fd, length: number, writable: boolean, once: boolean): number | undefined {
    const identity = once ? identityOf(fd, length, writable) : undefined;
    const shown = identity === undefined ? undefined : this.#shared.get(identity);
    if (shown !== undefined) {
      shown.uses++;
      return shown.offset;
    }
    const offset = this.#show(fd, length, writable);
    if (offset === undefined) return undefined;
    const mapping = { offset, length, identity, uses: 1 };
    this.#mapped.set(offset, mapping);
    if (identity !== undefined) this.#shared.set(identity, mapping);
    return offset;
  }

  #show(fd: Fd, length: number, writable: boolean): number | undefined {
    const mapper = this.#mapper;
    let offset: number;
    if (mapper === undefined) return undefined;
    try {
      offset = this.#free.allocate(length);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return undefined;
    }
    if (mapper.map(REGION, offset, fd, { fdOffset: 0, length, writable })) return offset;
    this.#free.free(offset, length);
    return undefined;
  }

  /**
   * One descriptor less means what is there, if anything is; with the last it is taken away. What the frontend would not
   * take away is not used again.
   */
  unmap(offset: number): void {
    const mapping = this.#mapped.get(offset);
    if (mapping === undefined || --mapping.uses > 0) return;
    const { length, identity } = mapping;
    this.#mapped.delete(offset);
    if (identity !== undefined) this.#shared.delete(identity);
    if (this.#mapper?.unmap(REGION, offset, length) === true) this.#free.free(offset, length);
  }

  /** The frontend has taken everything away. */
  clear(): void {
    this.#mapped.clear();
    this.#shared.clear();
    this.#free = this.#wholly();
  }

  #wholly(): RangeAllocator {
    // Offset 0 would mean that there is no memory.
    return new RangeAllocator(GRANULE, this.#size - GRANULE, GRANULE);
  }
}

function identityOf(fd: Fd, length: number, writable: boolean): string {
  const { dev, ino } = fileStat(fd);
  return `${dev}:${ino}:${length}:${writable}`;
}

/** In whole pages. */
export function inPages(size: number): number {
  return Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
}
