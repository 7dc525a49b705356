import { Errno, type Fd, pread, pwrite, type Window } from "../../os/mod.ts";
import type { DescriptorChain } from "../../virtio/mod.ts";

const CAPACITY = 2 ** 20;

/**
 * Aligned memory for transfers that O_DIRECT does not take as they are. Slow, and rare: drivers keep
 * to the block size that they are told.
 */
export class BounceBuffer implements Disposable {
  /** Where it is in the window, aligned to its size. */
  readonly offset: number;
  readonly #window: Window;

  constructor(window: Window) {
    this.#window = window;
    this.offset = window.allocate(CAPACITY, CAPACITY);
    window.mapAnonymous(this.offset, CAPACITY);
  }

  /**
   * Moves data between pieces of memory and a file in aligned units. A write that covers part of a
   * unit keeps the rest of it, so nothing else may write there meanwhile.
   *
   * @param unit a power of two up to the capacity
   * @param size end of the disk: nothing is written past it
   * @returns 0, or a negative error number
   */
  transfer(
    write: boolean,
    fd: Fd,
    unit: number,
    size: number,
    chain: DescriptorChain,
    first: number,
    end: number,
    position: number,
  ): number {
    let left = 0;
    for (let i = first; i < end; i++) left += chain.lengths[i];
    let piece = first;
    let inPiece = 0;
    while (left > 0) {
      const start = position - position % unit;
      const skip = position - start;
      const count = Math.min(left, CAPACITY - skip);
      const span = Math.min(Math.ceil((skip + count) / unit) * unit, size - start);
      const isWhole = skip === 0 && count === span;
      if (!write || !isWhole) {
        const got = all(pread, fd, this.offset, span, start);
        if (got < 0) return got;
      }
      for (let done = 0; done < count;) {
        const part = Math.min(count - done, chain.lengths[piece] - inPiece);
        const memory = this.#window.bytes(chain.offsets[piece] + inPiece, part);
        const buffer = this.#window.bytes(this.offset + skip + done, part);
        if (write) buffer.set(memory);
        else memory.set(buffer);
        done += part;
        inPiece += part;
        if (inPiece === chain.lengths[piece]) {
          piece++;
          inPiece = 0;
        }
      }
      if (write) {
        const put = all(pwrite, fd, this.offset, span, start);
        if (put < 0) return put;
      }
      position += count;
      left -= count;
    }
    return 0;
  }

  [Symbol.dispose](): void {
    this.#window.free(this.offset, CAPACITY);
  }
}

function all(move: typeof pread, fd: Fd, offset: number, length: number, position: number): number {
  for (let done = 0; done < length;) {
    const count = move(fd, offset + done, length - done, position + done);
    if (count === -Errno.EINTR) continue;
    if (count <= 0) return count === 0 ? -Errno.EIO : count;
    done += count;
  }
  return 0;
}
