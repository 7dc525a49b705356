/** The pause after the first failure, in milliseconds; each further one doubles it. */
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 5000;

/** Who has worked for so many times as long as the pause before is not failing again and again. */
const STEADY = 10;

/** The last attempts may take so many times as long as the first. */
const LONGEST_STRETCH = 16;

/** Growing pauses between attempts, and growing patience with each, at something that fails again and again. */
export class BackOff {
  #failures = 0;
  #pause = 0;

  /** Failures in a row. */
  get failures(): number {
    return this.#failures;
  }

  /** The pause before the next attempt, in milliseconds; 0 when nothing has failed yet. */
  get pause(): number {
    return this.#pause;
  }

  /**
   * How many times as long as the first attempt the next one may take. What is only slow, on a busy host, would otherwise be
   * ended and begun again for ever.
   */
  get stretch(): number {
    return Math.min(2 ** this.#failures, LONGEST_STRETCH);
  }

  /** Counts a failure of what had worked for so many milliseconds. */
  failed(worked = 0): void {
    if (worked >= STEADY * this.#pause) this.#failures = 0;
    this.#pause = Math.min(FIRST_PAUSE * 2 ** this.#failures++, LONGEST_PAUSE);
  }

  /** Begins anew. */
  forget(): void {
    this.#failures = 0;
    this.#pause = 0;
  }
}
