import { type Fd, PAGE_SIZE, RangeAllocator } from "../../os/mod.ts";
import type { SharedMemoryMapper } from "../../virtio/mod.ts";

/** The id of the region. */
const REGION = 0;

/** Mappings begin at multiples of this, so that a guest can have page structures for just one of them (Linux: 2 MiB). */
const GRANULE = 2 ** 21;

/** The shared memory region of the device: who is where in it. */
export class Region {
  readonly #size: number;
  readonly #mapped = new Map<number, number>();
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
   * @returns where in the region, or undefined when there is no room or the frontend refuses
   */
  map(fd: Fd, length: number, writable: boolean): number | undefined {
    const mapper = this.#mapper;
    let offset: number;
    if (mapper === undefined) return undefined;
    try {
      offset = this.#free.allocate(length);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return undefined;
    }
    if (mapper.map(REGION, offset, fd, { fdOffset: 0, length, writable })) {
      this.#mapped.set(offset, length);
      return offset;
    }
    this.#free.free(offset, length);
    return undefined;
  }

  /** Takes it away again, if it is there. What the frontend would not take away is not used again. */
  unmap(offset: number): void {
    const length = this.#mapped.get(offset);
    if (length === undefined) return;
    this.#mapped.delete(offset);
    if (this.#mapper?.unmap(REGION, offset, length) === true) this.#free.free(offset, length);
  }

  /** The frontend has taken everything away. */
  clear(): void {
    this.#mapped.clear();
    this.#free = this.#wholly();
  }

  #wholly(): RangeAllocator {
    // Offset 0 would mean that there is no memory.
    return new RangeAllocator(GRANULE, this.#size - GRANULE, GRANULE);
  }
}

/** In whole pages. */
export function inPages(size: number): number {
  return Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
}
