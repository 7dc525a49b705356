import type { SharedState } from "./shared_state.ts";
import type { StateArena } from "./state_arena.ts";

/** Values of the lock word; the third says that somebody sleeps, so that an unlock must wake. */
const FREE = 0;
const HELD = 1;
const CONTENDED = 2;

/** Looks at the word before sleeping: most holders are done within a microsecond. */
const SPINS = 40;
/** No holder waits for a guest, a backend or a person, so this is only reached after a mistake of ours. */
const PATIENCE_MS = 30_000;

/** A lock was not released in time: its holder died or locked it twice. */
export class LockStuck extends Error {
  override readonly name = "LockStuck";
  constructor(readonly offset: number) {
    super(
      `The device lock at state offset ${offset} was not released within ${PATIENCE_MS / 1000} s`,
    );
  }
}

/**
 * A mutex over one word of the shared state, between the main thread and Web Workers (Ulrich Drepper,
 * "Futexes Are Tricky", mutex 2, on `Atomics`). Not recursive. What was written under the lock is seen
 * by the next holder.
 */
export class StateLock {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #index: number;

  /** Sets a lock word aside, free. */
  static allocate(arena: StateArena): number {
    return arena.allocate(4, 64);
  }

  /** Attaches to the zero-initialised word at `offset` (a multiple of four). */
  constructor(state: SharedState, readonly offset: number) {
    if (offset % 4 !== 0) throw new RangeError(`a lock word at offset ${offset} is unaligned`);
    this.#words = state.words;
    this.#index = offset / 4;
  }

  /** Takes the lock, sleeping while another thread has it. Throws LockStuck after 30 seconds. */
  acquire(): void {
    if (Atomics.compareExchange(this.#words, this.#index, FREE, HELD) !== FREE) this.#wait();
  }

  /** Gives the lock back. Only its holder may. */
  release(): void {
    if (Atomics.exchange(this.#words, this.#index, FREE) === CONTENDED) {
      Atomics.notify(this.#words, this.#index, 1);
    }
  }

  /** Frees the lock, whatever saved state says of it; nobody may hold it or wait for it. */
  restored(): void {
    Atomics.store(this.#words, this.#index, FREE);
  }

  /** Runs `action` under the lock. Hot paths write acquire/try/finally instead, which needs no closure. */
  run<T>(action: () => T): T {
    this.acquire();
    try {
      return action();
    } finally {
      this.release();
    }
  }

  #wait(): void {
    for (let i = 0; i < SPINS; i++) {
      if (
        Atomics.load(this.#words, this.#index) === FREE &&
        Atomics.compareExchange(this.#words, this.#index, FREE, HELD) === FREE
      ) return;
    }
    // Who has slept takes the lock as contended: others may still be asleep.
    while (Atomics.exchange(this.#words, this.#index, CONTENDED) !== FREE) {
      if (Atomics.wait(this.#words, this.#index, CONTENDED, PATIENCE_MS) === "timed-out") {
        throw new LockStuck(this.offset);
      }
    }
  }
}
