import { TokenBucket } from "./token_bucket.ts";

/** How much of something a device may do. What is left out is not limited. */
export interface Limit {
  /** For each second. */
  readonly operations?: number;
  /** For each second. */
  readonly bytes?: number;
  /** Seconds of these rates that may be used at once. */
  readonly burst: number;
}

/** What a limit has held back since its device began. */
export interface Throttled {
  /** How often something had to wait. */
  readonly times: number;
  /** How long there was something that waited. */
  readonly milliseconds: number;
}

/** A queue whose requests may have to wait. */
export interface LimitedQueue {
  readonly index: number;
  /** There is a request. */
  readonly hasAny: boolean;
  /** Requests of a predecessor, which have waited once. */
  readonly resubmitsLeft: number;
}

/** Whom a limiter tells, and what time it is. */
export interface LimiterOptions {
  /** Told what was held back, now and then, and once more when nothing waits. */
  readonly report?: (throttled: Throttled) => void;
  /** A clock in milliseconds that never goes back. */
  readonly now?: () => number;
}

/** The most that one wait takes, so that a clock that jumps harms nobody for long. */
const LONGEST_WAIT_MS = 1000;
const REPORT_MS = 200;

/**
 * Lets requests pass at the rates of a limit. Those that wait stay in their queues, in their order; queues take turns.
 */
export class Limiter {
  readonly #buckets: readonly TokenBucket[];
  readonly #operations: TokenBucket | undefined;
  readonly #bytes: TokenBucket | undefined;
  readonly #report: (throttled: Throttled) => void;
  readonly #now: () => number;
  #times = 0;
  #milliseconds = 0;
  /** Indices of queues that wait, the one that waits longest first. */
  readonly #waiting: number[] = [];
  /** Since when something waits that was not counted yet. */
  #since: number | undefined;
  #reportedAt = -Infinity;
  #isNews = false;

  constructor({ operations, bytes, burst }: Limit, options: LimiterOptions = {}) {
    const bucket = (rate: number | undefined) =>
      rate === undefined ? undefined : new TokenBucket(rate, burst);
    this.#operations = bucket(operations);
    this.#bytes = bucket(bytes);
    this.#buckets = [this.#operations, this.#bytes].filter((each) => each !== undefined);
    this.#report = options.report ?? (() => {});
    this.#now = options.now ?? (() => performance.now());
  }

  /** Whether the next request of a queue may pass, if there is one. Otherwise it waits. */
  lets(queue: LimitedQueue): boolean {
    if (queue.resubmitsLeft > 0) return true;
    const waiting = this.#waiting;
    const isFirst = waiting.length === 0 || waiting[0] === queue.index;
    const now = this.#now();
    if (isFirst && this.#wait(now) === 0) {
      // Its next request comes after those of the others.
      if (waiting.length > 0) {
        waiting.shift();
        this.#count(now);
      }
      return true;
    }
    if (!queue.hasAny || waiting.includes(queue.index)) return false;
    if (waiting.length === 0) this.#since = now;
    waiting.push(queue.index);
    this.#times++;
    this.#isNews = true;
    return false;
  }

  /** A request of so many bytes passes. */
  passed(bytes: number): void {
    this.#operations?.take(1);
    this.#bytes?.take(bytes);
  }

  /** A request of so many bytes, which had passed, did not take place. */
  tookBack(bytes: number): void {
    this.#operations?.take(-1);
    this.#bytes?.take(-bytes);
  }

  /** Milliseconds after which all queues are to be looked at again; -1 when that need not be. */
  get delay(): number {
    const now = this.#now();
    const waits = this.#waiting.length > 0;
    if (this.#isNews && now - this.#reportedAt >= REPORT_MS) {
      this.#reportedAt = now;
      this.#isNews = waits;
      this.#report(this.throttled);
    }
    if (!waits) return this.#isNews ? REPORT_MS : -1;
    return Math.min(Math.ceil(this.#wait(now)), LONGEST_WAIT_MS);
  }

  /** Queues stop: whoever waits asks anew. */
  forget(): void {
    if (this.#waiting.length === 0) return;
    this.#waiting.length = 0;
    this.#count(this.#now());
  }

  get throttled(): Throttled {
    this.#count(this.#now());
    return { times: this.#times, milliseconds: Math.round(this.#milliseconds) };
  }

  /** Up to now something waited. */
  #count(now: number): void {
    if (this.#since === undefined) return;
    this.#milliseconds += now - this.#since;
    this.#since = this.#waiting.length > 0 ? now : undefined;
  }

  #wait(now: number): number {
    let wait = 0;
    for (let i = 0; i < this.#buckets.length; i++) {
      wait = Math.max(wait, this.#buckets[i].wait(now));
    }
    return wait;
  }
}
