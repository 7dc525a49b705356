import type { IoVector, Window } from "../../os/mod.ts";
import { DescriptorChain, NetHeader, type Virtqueue } from "../../virtio/mod.ts";

/** Enough for the largest packet in buffers of 1 KiB. */
const MOST_CHAINS = 66;
/** A driver without mergeable buffers gives one of 64 KiB in pages, and some more. */
const SEGMENTS = 64;
/** Shorter pieces are copied in a loop: less than the call costs. */
const SHORT = 32;

/** What became of a packet. */
export const Placed = { Done: 0, Dropped: 1, Starved: 2 } as const;

/**
 * Buffers of one receive queue, taken in advance. A packet goes into the first of them, into several where that was
 * negotiated, and the driver gets them all at once. Nothing here allocates.
 */
export class ReceiveBuffers {
  /** Several buffers may hold one packet (VIRTIO_NET_F_MRG_RXBUF). */
  isMergeable = false;
  readonly #view: DataView;
  readonly #memory: Uint8Array;
  readonly #chains = Array.from({ length: MOST_CHAINS }, () => new DescriptorChain(SEGMENTS));
  #first = 0;
  #count = 0;
  /** That those taken have room for. */
  #bytes = 0;
  #queue: Virtqueue | undefined;

  constructor(window: Window) {
    this.#view = window.view;
    this.#memory = new Uint8Array(window.buffer);
  }

  /**
   * Takes buffers until they have room for a packet of so many bytes, if the driver has given so much.
   *
   * @returns bytes that the next packet may have
   */
  reserve(queue: Virtqueue, bytes: number): number {
    this.#queue = queue;
    while (this.#bytes < bytes && this.#count < (this.isMergeable ? MOST_CHAINS : 1)) {
      const chain = this.#at(this.#count);
      if (!queue.next(chain)) break;
      if (chain.writableBytes < NetHeader.size) {
        queue.break("request");
        break;
      }
      this.#count++;
      this.#bytes += chain.writableBytes;
    }
    return queue.fault === undefined ? this.#bytes : 0;
  }

  /** Appends the memory of the first so many bytes to a vector, or of what fits in it and is there. Returns its bytes. */
  gather(vector: IoVector, bytes: number): number {
    let left = bytes;
    for (let i = 0; i < this.#count && left > 0; i++) {
      const chain = this.#at(i);
      for (let piece = chain.readableCount; piece < chain.count && left > 0; piece++) {
        const length = Math.min(left, chain.lengths[piece]);
        // The last place is for what follows.
        if (vector.count + 1 >= vector.capacity) return bytes - left;
        vector.push(chain.offsets[piece], length);
        left -= length;
      }
    }
    return bytes - left;
  }

  /**
   * Gives a packet with its header to the driver.
   *
   * @param length bytes of both
   * @param direct so many of them are in the buffers already, as {@linkcode gather} laid them out
   * @param rest window offset of the others
   */
  place(queue: Virtqueue, length: number, direct: number, rest: number): number {
    if (this.reserve(queue, length) < length) {
      if (queue.fault !== undefined) return Placed.Dropped;
      const isFull = this.#count === (this.isMergeable ? MOST_CHAINS : 1) ||
        this.#count >= queue.size;
      return isFull ? Placed.Dropped : Placed.Starved;
    }
    if (direct < length) this.#copy(rest, direct, length - direct);
    const used = this.#countFor(length);
    this.#setNumBuffers(used);
    for (let left = length; left > 0;) {
      const chain = this.#at(0);
      const written = Math.min(left, chain.writableBytes);
      queue.use(chain, written);
      left -= written;
      this.#bytes -= chain.writableBytes;
      this.#first = (this.#first + 1) % MOST_CHAINS;
      this.#count--;
    }
    queue.publish();
    return Placed.Done;
  }

  /** The driver gets back what was not filled. */
  settle(): void {
    const queue = this.#queue;
    while (this.#count > 0) queue?.putBack(this.#at(--this.#count));
    this.#bytes = 0;
    this.#queue = undefined;
  }

  #at(i: number): DescriptorChain {
    return this.#chains[(this.#first + i) % MOST_CHAINS];
  }

  #countFor(length: number): number {
    let count = 0;
    while (length > 0) length -= this.#at(count++).writableBytes;
    return count;
  }

  /** Copies bytes to a place in the packet. */
  #copy(from: number, at: number, length: number): void {
    let skip = at;
    for (let i = 0; length > 0; i++) {
      const chain = this.#at(i);
      for (let piece = chain.readableCount; piece < chain.count && length > 0; piece++) {
        const size = chain.lengths[piece];
        if (skip >= size) {
          skip -= size;
          continue;
        }
        const count = Math.min(length, size - skip);
        this.#move(chain.offsets[piece] + skip, from, count);
        from += count;
        length -= count;
        skip = 0;
      }
    }
  }

  #move(to: number, from: number, length: number): void {
    if (length > SHORT) {
      this.#memory.copyWithin(to, from, from + length);
      return;
    }
    for (let i = 0; i < length; i++) this.#memory[to + i] = this.#memory[from + i];
  }

  /** The field is in the first buffer, in one piece of it or two. */
  #setNumBuffers(count: number): void {
    const chain = this.#at(0);
    let at = NetHeader.offset.numBuffers as number;
    let piece = chain.readableCount;
    while (at >= chain.lengths[piece]) at -= chain.lengths[piece++];
    this.#view.setUint8(chain.offsets[piece] + at, count & 0xff);
    if (++at === chain.lengths[piece]) {
      at = 0;
      piece++;
    }
    this.#view.setUint8(chain.offsets[piece] + at, count >> 8);
  }
}
