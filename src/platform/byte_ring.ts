import type { SharedState } from "../bus/mod.ts";
import { struct, u32 } from "../codec/mod.ts";

const Header = struct({ head: u32, count: u32 });

/** A ring of bytes in shared state. Whoever uses it holds the lock of the device it belongs to. */
export class ByteRing {
  readonly #state: SharedState;
  readonly #header: { head: number; count: number };
  readonly #data: number;

  /** Bytes of state that a ring of `capacity` bytes takes. */
  static size(capacity: number): number {
    return Header.size + capacity;
  }

  /** Attaches to zero-initialised state at `offset`. */
  constructor(state: SharedState, offset: number, readonly capacity: number) {
    this.#state = state;
    this.#header = Header.at(state.view, offset);
    this.#data = offset + Header.size;
  }

  get count(): number {
    return this.#header.count;
  }

  get room(): number {
    return this.capacity - this.#header.count;
  }

  /** Appends a byte; false when the ring is full. */
  push(byte: number): boolean {
    const { head, count } = this.#header;
    if (count === this.capacity) return false;
    this.#state.bytes[this.#data + (head + count) % this.capacity] = byte;
    this.#header.count = count + 1;
    return true;
  }

  /** Takes the oldest byte, -1 from an empty ring. */
  shift(): number {
    const { head, count } = this.#header;
    if (count === 0) return -1;
    this.#header.head = (head + 1) % this.capacity;
    this.#header.count = count - 1;
    return this.#state.bytes[this.#data + head];
  }

  /** Appends as many of `bytes` as fit and says how many those were. */
  put(bytes: Uint8Array): number {
    const accepted = Math.min(bytes.length, this.room);
    for (let i = 0; i < accepted; i++) this.push(bytes[i]);
    return accepted;
  }

  /** Takes up to `most` of the oldest bytes, as a copy. */
  take(most: number): Uint8Array<ArrayBuffer> {
    const { head, count } = this.#header;
    const length = Math.min(most, count);
    const taken = new Uint8Array(length);
    const first = Math.min(length, this.capacity - head);
    taken.set(this.#state.bytes.subarray(this.#data + head, this.#data + head + first));
    taken.set(this.#state.bytes.subarray(this.#data, this.#data + length - first), first);
    this.#header.head = (head + length) % this.capacity;
    this.#header.count = count - length;
    return taken;
  }

  /** Whether head and count are ones that a ring can have. */
  get sound(): boolean {
    const { head, count } = this.#header;
    return head < this.capacity && count <= this.capacity;
  }

  clear(): void {
    this.#header.head = 0;
    this.#header.count = 0;
  }
}
