import assert from "node:assert/strict";
import { leakedDescriptors, trackDescriptors } from "../../src/os/mod.ts";
import { Dice } from "./dice.ts";
import type { FuzzTarget } from "./target.ts";

/** Bytes that this process may have in memory, whatever is played. */
const MOST_MEMORY = 2 ** 30;
/** What ends by itself after a game has so long. */
const PATIENCE_MS = 2000;

/** Descriptors that the runtime may keep. */
const MOST_OF_RUNTIME = 8;

/** How many descriptors this process has. */
export const openNumbers = () => [...Deno.readDirSync("/proc/self/fd")].length;

/** Plays games of one target in this process. */
export class Player {
  /** Descriptors that the runtime opened when it first needed them, and keeps. */
  #runtimes = 0;

  constructor(readonly target: FuzzTarget) {}

  /**
   * Plays the game of a tape. Beside what the game itself looks for, no descriptor may stay open, and memory not grow
   * without bound.
   *
   * @returns how many turns it had
   */
  async play(tape: Uint8Array): Promise<number> {
    const { turns, left } = await this.#once(tape);
    if (left > 0) await this.#again(tape, left);
    const { rss } = Deno.memoryUsage();
    assert.ok(rss < MOST_MEMORY, `${rss} bytes of memory`);
    return turns;
  }

  /** A leak comes again, if not each time; now with the stacks of who opened them. */
  async #again(tape: Uint8Array, before: number): Promise<void> {
    trackDescriptors();
    try {
      const { left } = await this.#once(tape);
      assert.deepEqual(leakedDescriptors(), [], "descriptors are left behind");
      this.#runtimes += before;
      assert.ok(left <= 0 && this.#runtimes <= MOST_OF_RUNTIME, "descriptors are left behind");
    } finally {
      trackDescriptors(false);
    }
  }

  /** Returns how many descriptors there are more than before, too. */
  async #once(tape: Uint8Array): Promise<{ turns: number; left: number }> {
    const before = openNumbers();
    const turns = await this.target.play(new Dice(tape));
    const end = performance.now() + PATIENCE_MS;
    while (openNumbers() > before && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return { turns, left: openNumbers() - before };
  }
}
