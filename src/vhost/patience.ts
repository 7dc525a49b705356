/** After watching has become useless, it is tried again at every so manieth opportunity. */
const RETRY = 32;

/**
 * How long to watch for something before going to sleep. Being woken costs more than much watching; where what is watched
 * for does not come that fast, the watching ends by itself: each time in vain halves it.
 */
export class Patience {
  readonly #most: number;
  #looks: number;
  #skipped = 0;

  /** @param most looks at a time; one with its pause takes about 0.1 µs */
  constructor(most: number) {
    this.#most = this.#looks = most;
  }

  /** An opportunity: how many looks it is worth. */
  begin(): number {
    if (this.#looks > 0) return this.#looks;
    if (++this.#skipped < RETRY) return 0;
    this.#skipped = 0;
    return this.#most;
  }

  /** All of its looks saw nothing. */
  inVain(): void {
    this.#looks >>= 1;
  }

  /** A look saw something. */
  paid(): void {
    this.#looks = this.#most;
  }
}
