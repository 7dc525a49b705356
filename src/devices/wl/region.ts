import { type Fd, PAGE_SIZE, RangeAllocator } from "../../os/mod.ts";
import type { SharedMemoryMapper } from "../../virtio/mod.ts";

/** The id of the region. */
const REGION = 0;

/** Mappings begin at multiples of this, so that a guest can have page structures for just one of them (Linux: 2 MiB). */
const GRANULE = 2 ** 21;

/** The shared memory region of the device: who is where in it. */
export class Region {
  readonly #free: RangeAllocator;
  readonly #mapper: SharedMemoryMapper;

  constructor(mapper: SharedMemoryMapper, size: number) {
    this.#mapper = mapper;
    // Page 0 would mean that there is no memory.
    this.#free = new RangeAllocator(GRANULE, size - GRANULE, GRANULE);
  }

  /**
   * Shows memory to the guest, whole.
   *
   * @returns where in the region, or undefined when there is no room or the frontend refused
   */
  map(fd: Fd, length: number, writable: boolean): number | undefined {
    let offset: number;
    try {
      offset = this.#free.allocate(length);
    } catch {
      return undefined;
    }
    if (this.#mapper.map(REGION, offset, fd, { fdOffset: 0, length, writable })) return offset;
    this.#free.free(offset, length);
    return undefined;
  }

  /** Takes it away again. What the frontend would not take away is never used again. */
  unmap(offset: number, length: number): void {
    if (this.#mapper.unmap(REGION, offset, length)) this.#free.free(offset, length);
  }
}

/** In whole pages. */
export function inPages(size: number): number {
  return Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
}
