/** xorshift32: the same seed, the same numbers. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    // Zero would stay zero.
    this.#state = seed | 1;
  }

  word(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }

  below(limit: number): number {
    return this.word() % limit;
  }

  tape(length: number): Uint8Array<ArrayBuffer> {
    return fillAtRandom(new Uint8Array(length), this.word());
  }
}

/** Fills bytes with what follows from a seed, and returns them. */
export function fillAtRandom<T extends Uint8Array>(bytes: T, seed: number): T {
  const chance = new Chance(seed);
  for (let i = 0; i < bytes.length; i += 4) {
    const word = chance.word();
    for (let k = 0; k < 4 && i + k < bytes.length; k++) bytes[i + k] = word >>> (8 * k);
  }
  return bytes;
}

/** What chance begins with; SPECTRUM_SEED repeats a run. */
export const SEED = Number(
  Deno.env.get("SPECTRUM_SEED") ?? Math.floor(Math.random() * 2 ** 31) + 1,
);
