declare global {
  interface Atomics {
    /** Tells the processor that this thread is waiting in a loop (ECMAScript proposal "microwait", in V8). */
    pause(): void;
  }
}

/** After watching has become useless, it is tried again at every so manieth opportunity. */
const RETRY = 32;

/**
 * Watching for the next request before going to sleep: a driver that reacts at once is met awake, and
 * need not kick. Being woken costs either side more than all this watching. Where the driver does
 * not react that fast, the watching ends by itself: each time in vain halves it.
 */
export class Patience {
  readonly #most: number;
  #looks: number;
  #skipped = 0;

  /** @param most looks at a time; one with its pause takes about 0.1 µs */
  constructor(most: number) {
    this.#most = this.#looks = most;
  }

  /** Looks until there is something, or it has been long enough. */
  watch(isThere: () => boolean): boolean {
    if (this.#looks === 0 && ++this.#skipped < RETRY) return false;
    this.#skipped = 0;
    const looks = this.#looks || this.#most;
    for (let i = 0; i < looks; i++) {
      if (isThere()) {
        this.#looks = this.#most;
        return true;
      }
      Atomics.pause();
    }
    this.#looks >>= 1;
    return false;
  }
}
