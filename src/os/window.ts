import type { Fd } from "./fd.ts";
import { library, monitor } from "./library.ts";
import { check } from "./os_error.ts";
import { RangeAllocator } from "./range_allocator.ts";

/** The window as another thread of this process can take it (structured-clonable). */
export interface WindowToken {
  readonly windowBase: number;
  readonly windowSize: number;
}

/** The granule of mappings. */
export const PAGE_SIZE = 4096;

const DEFAULT_SIZE = 2 ** 42;

/**
 * The one address window of the process: a large reservation without memory, seen as one ArrayBuffer,
 * into which memory is mapped. Offsets in {@link view} are offsets in the window; touching a part
 * where nothing is mapped ends the process (SIGSEGV).
 *
 * Reserving and joining need the `ffi` permission without a path; all else works after it is revoked.
 *
 * @example
 * ```ts
 * const window = Window.reserve();
 * const offset = window.allocate(4096);
 * window.mapAnonymous(offset, 4096);
 * window.bytes(offset, 5).set(new TextEncoder().encode("hello"));
 * window.unmap(offset, 4096);
 * window.free(offset, 4096);
 * ```
 */
export class Window {
  readonly buffer: ArrayBuffer;
  readonly view: DataView;
  readonly #free: RangeAllocator | undefined;

  private constructor(readonly base: number, readonly size: number, owner: boolean) {
    const pointer = Deno.UnsafePointer.create(BigInt(base));
    if (pointer === null) throw new Error("The window has no address");
    this.buffer = Deno.UnsafePointerView.getArrayBuffer(pointer, size);
    this.view = new DataView(this.buffer);
    // Offset 0 is never handed out, so that it can mean "none".
    this.#free = owner ? new RangeAllocator(PAGE_SIZE, size - PAGE_SIZE, PAGE_SIZE) : undefined;
  }

  /**
   * Reserves the window of this process, once.
   *
   * @param size in bytes, a multiple of the page size
   * @throws OsError EALREADY the second time, ENOMEM when the address space is limited
   */
  static reserve(size = DEFAULT_SIZE): Window {
    const base = check(library().sp_window_reserve(size), "reserve", "the address window");
    return new Window(base, size, true);
  }

  /** The same window in another thread of this process. Only the thread that reserved it hands out ranges. */
  static join(token: WindowToken): Window {
    return new Window(token.windowBase, token.windowSize, false);
  }

  /** What another thread needs for {@link Window.join}. */
  get token(): WindowToken {
    return { windowBase: this.base, windowSize: this.size };
  }

  /**
   * Hands out a range of offsets with nothing mapped there yet, followed by a page that stays empty.
   *
   * @param length in bytes, rounded up to pages
   * @param align a power of two
   * @throws RangeError when no such range is left
   */
  allocate(length: number, align = PAGE_SIZE): number {
    return this.#ranges().allocate(pages(length) + PAGE_SIZE, align);
  }

  /** Unmaps a range that {@link allocate} returned, and takes it back. */
  free(offset: number, length: number): void {
    const ranges = this.#ranges();
    this.unmap(offset, length);
    ranges.free(offset, pages(length) + PAGE_SIZE);
  }

  /**
   * Maps part of a file or memory there, replacing what was mapped. Writable and shared unless said otherwise.
   *
   * @param length in bytes, rounded up to pages
   * @throws OsError EINVAL outside of the window or off a page border; EACCES when the file is not writable
   */
  mapFd(
    offset: number,
    length: number,
    fd: Fd,
    fdOffset: number,
    options: { write?: boolean; shared?: boolean } = {},
  ): void {
    const write = options.write === false ? 0 : 1;
    const shared = options.shared === false ? 0 : 1;
    const size = pages(length);
    const result = library().sp_window_map(offset, size, fd.raw(), fdOffset, write, shared);
    check(result, "map", range(offset, size));
  }

  /** Maps private zeroed memory there, replacing what was mapped. */
  mapAnonymous(offset: number, length: number): void {
    const size = pages(length);
    check(library().sp_window_anonymous(offset, size), "map memory at", range(offset, size));
  }

  /**
   * Asks for huge pages there (`MADV_HUGEPAGE`). Memory of a memfd gets them where the host's
   * `transparent_hugepage/shmem_enabled` is `advise`. For a monitor: a worker has no such function.
   */
  preferHugePages(offset: number, length: number): void {
    const size = pages(length);
    check(monitor().sp_window_huge(offset, size), "ask for huge pages of", range(offset, size));
  }

  /** Leaves nothing mapped there; the range stays handed out. */
  unmap(offset: number, length: number): void {
    const size = pages(length);
    check(library().sp_window_unmap(offset, size), "unmap", range(offset, size));
  }

  /** The bytes of a range that is mapped. */
  bytes(offset: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.buffer, offset, length);
  }

  #ranges(): RangeAllocator {
    if (this.#free === undefined) {
      throw new Error("Only the thread that reserved the window hands out its ranges");
    }
    return this.#free;
  }
}

function pages(length: number): number {
  return Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
}

function range(offset: number, length: number): string {
  return `${length} bytes at 0x${offset.toString(16)} of the window`;
}
