import type { Window } from "./window.ts";

const ENTRY = 16;
const TWO_32 = 0x1_0000_0000;

/** The most ranges that one vector holds (IOV_MAX). */
export const MAX_VECTOR = 1024;

/**
 * A list of ranges of the window for one vectored read or write. It lies in the window itself, as
 * pairs of offset and length, and is checked by the shim when it is used.
 */
export class IoVector implements Disposable {
  /** Where the entries are in the window. */
  readonly offset: number;
  readonly #window: Window;
  readonly #view: DataView;
  #count = 0;
  #bytes = 0;

  constructor(window: Window, readonly capacity: number) {
    if (!(capacity >= 1 && capacity <= MAX_VECTOR)) throw new RangeError("Bad vector capacity");
    this.#window = window;
    this.#view = window.view;
    this.offset = window.allocate(capacity * ENTRY);
    window.mapAnonymous(this.offset, capacity * ENTRY);
  }

  /** How many ranges there are. */
  get count(): number {
    return this.#count;
  }

  /** How many bytes they have together. */
  get bytes(): number {
    return this.#bytes;
  }

  clear(): void {
    this.#count = 0;
    this.#bytes = 0;
  }

  /** Appends a range. Returns false, and changes nothing, when the vector is full. */
  push(windowOffset: number, length: number): boolean {
    if (this.#count === this.capacity) return false;
    const at = this.offset + this.#count * ENTRY;
    const view = this.#view;
    view.setUint32(at, windowOffset >>> 0, true);
    view.setUint32(at + 4, (windowOffset / TWO_32) >>> 0, true);
    view.setUint32(at + 8, length >>> 0, true);
    view.setUint32(at + 12, (length / TWO_32) >>> 0, true);
    this.#count++;
    this.#bytes += length;
    return true;
  }

  /** The window offset of a range. */
  offsetAt(i: number): number {
    const at = this.offset + i * ENTRY;
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * TWO_32;
  }

  /** The length of a range. */
  lengthAt(i: number): number {
    const at = this.offset + i * ENTRY + 8;
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * TWO_32;
  }

  [Symbol.dispose](): void {
    this.#window.free(this.offset, this.capacity * ENTRY);
  }
}
