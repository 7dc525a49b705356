import type { IoVector, Window } from "../../os/mod.ts";
import type { DescriptorChain } from "../../virtio/mod.ts";

/** What a socket of the host did not take at once, in order: a ring in the window that is there only if it was needed. */
export class SendBuffer implements Disposable {
  readonly #window: Window;
  readonly #capacity: number;
  /** Window offset; 0 for none. */
  #memory = 0;
  #begin = 0;
  #length = 0;

  /** @param capacity bytes; a multiple of the page size */
  constructor(window: Window, capacity: number) {
    this.#window = window;
    this.#capacity = capacity;
  }

  get length(): number {
    return this.#length;
  }

  /**
   * Copies what the driver has written, from `begin` up to `end`, out of its memory. There must be room for it.
   *
   * @throws RangeError or OsError when there is no memory
   */
  push(chain: DescriptorChain, begin: number, end: number): void {
    if (this.#memory === 0) this.#allocate();
    const { offsets, lengths } = chain;
    for (let i = 0, at = 0; i < chain.readableCount && at < end; i++) {
      const from = Math.max(begin, at);
      const to = Math.min(end, at + lengths[i]);
      if (from < to) this.#copy(offsets[i] + from - at, to - from);
      at += lengths[i];
    }
  }

  /** Puts all of it into a vector. */
  gather(vector: IoVector): void {
    vector.clear();
    const first = Math.min(this.#length, this.#capacity - this.#begin);
    vector.push(this.#memory + this.#begin, first);
    if (first < this.#length) vector.push(this.#memory, this.#length - first);
  }

  /** So many bytes of it have gone. */
  taken(bytes: number): void {
    this.#begin = (this.#begin + bytes) % this.#capacity;
    this.#length -= bytes;
  }

  #copy(from: number, length: number): void {
    const window = this.#window;
    while (length > 0) {
      const at = (this.#begin + this.#length) % this.#capacity;
      const part = Math.min(length, this.#capacity - at);
      window.bytes(this.#memory + at, part).set(window.bytes(from, part));
      this.#length += part;
      from += part;
      length -= part;
    }
  }

  #allocate(): void {
    const memory = this.#window.allocate(this.#capacity);
    try {
      this.#window.mapAnonymous(memory, this.#capacity);
    } catch (error) {
      this.#window.free(memory, this.#capacity);
      throw error;
    }
    this.#memory = memory;
  }

  /** Drops what is in it. */
  [Symbol.dispose](): void {
    if (this.#memory !== 0) this.#window.free(this.#memory, this.#capacity);
    this.#memory = this.#begin = this.#length = 0;
  }
}
