/** Random bytes that follow from their first word, as `wl_guest.c` makes them. */
export class RandomStream {
  #word: number;
  /** Of the word that were used. */
  #bytes = 0;

  constructor(word: number) {
    this.#word = word >>> 0;
  }

  /** Writes the next bytes. */
  fill(bytes: Uint8Array): void {
    let word = this.#word, used = this.#bytes;
    for (let i = 0; i < bytes.length; i++) {
      bytes[i] = word >>> (8 * used);
      if (++used === 4) {
        used = 0;
        word = Math.imul(word, 1664525) + 1013904223 | 0;
      }
    }
    this.#word = word;
    this.#bytes = used;
  }

  /** Whether these are the next bytes. */
  matches(bytes: Uint8Array): boolean {
    let word = this.#word, used = this.#bytes, difference = 0;
    for (let i = 0; i < bytes.length; i++) {
      difference |= bytes[i] ^ (word >>> (8 * used) & 0xff);
      if (++used === 4) {
        used = 0;
        word = Math.imul(word, 1664525) + 1013904223 | 0;
      }
    }
    this.#word = word;
    this.#bytes = used;
    return difference === 0;
  }
}
