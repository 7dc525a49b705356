/**
 * A rate with some patience: what is not used is kept, up to a burst. Whoever comes when there is something left may
 * take as much as it needs, also more than is left; the next ones then wait until that is paid back. So even what is
 * larger than the burst passes, and in the long run no more passes than the rate.
 */
export class TokenBucket {
  readonly #rate: number;
  readonly #burst: number;
  #level: number;
  #at = 0;

  /**
   * @param rate tokens for each second
   * @param burst seconds of the rate that may be used at once
   */
  constructor(rate: number, burst: number) {
    this.#rate = rate / 1000;
    this.#burst = Math.max(1, rate * burst);
    this.#level = this.#burst;
  }

  /** Milliseconds until something may be taken; 0 when it may now. @param now in milliseconds, never less than before */
  wait(now: number): number {
    this.#fill(now);
    return this.#level > 0 ? 0 : (1 - this.#level) / this.#rate;
  }

  /** Takes so many tokens, which may leave a debt. */
  take(tokens: number): void {
    this.#level -= tokens;
  }

  #fill(now: number): void {
    this.#level = Math.min(this.#burst, this.#level + (now - this.#at) * this.#rate);
    this.#at = now;
  }
}
