import type { QueueFault } from "./queue_fault.ts";

/**
 * One request of a driver: the pieces of memory that a chain of descriptors names, the readable ones
 * first. Reused from request to request: {@link Virtqueue.next} fills it.
 *
 * @example
 * ```ts
 * const chain = new DescriptorChain(4);
 * chain.push(0x1000, 16, false);
 * chain.push(0x2000, 512, true);
 * console.log(chain.readableBytes, chain.writableBytes);
 * ```
 */
export class DescriptorChain {
  /** The descriptor it begins with, which names it in the used ring. */
  head = 0;
  /** How many pieces there are. */
  count = 0;
  /** How many of them the device may read; all that follow it may only write. */
  readableCount = 0;
  readableBytes = 0;
  writableBytes = 0;
  /** Some of its memory is not the device's to reach, and is left out of the pieces. */
  unreachable = false;
  /** A predecessor of this device has taken it before. */
  isResubmitted = false;
  /** The window offset of each piece. */
  readonly offsets: Float64Array;
  /** The bytes of each piece, at least 1. */
  readonly lengths: Float64Array;

  /**
   * @param capacity the most pieces that the device takes; a longer chain breaks its queue
   * @param mayBeUnreachable the device answers a chain that is {@link unreachable}; otherwise that breaks its queue, too
   */
  constructor(readonly capacity: number, readonly mayBeUnreachable = false) {
    this.offsets = new Float64Array(capacity);
    this.lengths = new Float64Array(capacity);
  }

  clear(): void {
    this.count = 0;
    this.readableCount = 0;
    this.readableBytes = 0;
    this.writableBytes = 0;
    this.unreachable = false;
  }

  /** Appends a piece of at least one byte. Returns what is wrong with it, if anything is. */
  push(offset: number, length: number, writable: boolean): QueueFault | undefined {
    const i = this.count;
    if (i === this.capacity) return "too-long";
    this.offsets[i] = offset;
    this.lengths[i] = length;
    this.count = i + 1;
    if (writable) {
      this.writableBytes += length;
    } else {
      if (this.readableCount !== i) return "order";
      this.readableCount = i + 1;
      this.readableBytes += length;
    }
    return this.readableBytes + this.writableBytes > 0xffff_ffff ? "too-large" : undefined;
  }
}
