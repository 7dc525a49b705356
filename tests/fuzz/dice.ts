import { fillAtRandom } from "./chance.ts";

/**
 * The decisions of one game, from a tape: a byte each where that is enough. When the tape is used up, the game is over,
 * and what is decided until it ends is the first choice each time: an input is a file, and a shorter file a shorter game.
 */
export class Dice {
  #at = 0;

  constructor(private readonly tape: Uint8Array) {}

  get isOver(): boolean {
    return this.#at >= this.tape.length;
  }

  /** An integer from 0 on. `limit` is at most 2^32. */
  below(limit: number): number {
    let value = this.#byte();
    if (limit > 0x100) value = value * 0x100 + this.#byte();
    if (limit > 0x10000) value = (value * 0x100 + this.#byte()) * 0x100 + this.#byte();
    return value % limit;
  }

  /** True once in so many throws, and never when the game is over. */
  once(times: number): boolean {
    return this.below(times) === times - 1;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  /** Most of the feature bits. */
  features(all: Readonly<Record<string, bigint>>): bigint {
    return Object.values(all).filter(() => !this.once(4)).reduce((a, b) => a | b, 0n);
  }

  /** Each byte is a decision. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  /** Bytes that nobody looks at closely, all one decision. */
  noise(length: number): Uint8Array<ArrayBuffer> {
    return fillAtRandom(new Uint8Array(length), this.below(0x10000));
  }

  #byte(): number {
    return this.isOver ? 0 : this.tape[this.#at++];
  }
}
