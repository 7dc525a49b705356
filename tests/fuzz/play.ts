import assert from "node:assert/strict";
import { leakedDescriptors, trackDescriptors } from "../../src/os/mod.ts";
import { Dice } from "./dice.ts";
import type { FuzzTarget } from "./target.ts";

/** Bytes that this process may have in memory, whatever is played. */
const MOST_MEMORY = 2 ** 30;
/** What ends by itself after a game has so long. */
const PATIENCE_MS = 2000;

/** How many descriptors this process has. */
export const openNumbers = () => [...Deno.readDirSync("/proc/self/fd")].length;

/**
 * Plays the game of a tape. Beside what the game itself looks for, no descriptor may stay open, and memory not grow
 * without bound.
 *
 * @returns how many turns it had
 */
export async function play(target: FuzzTarget, tape: Uint8Array): Promise<number> {
  let { turns, left } = await playOnce(target, tape);
  // The runtime keeps what it opens when it is first needed; a leak comes again.
  if (left > 0) ({ turns, left } = await playOnce(target, tape));
  assert.ok(left <= 0, `${left} descriptors are left behind`);
  const { rss } = Deno.memoryUsage();
  assert.ok(rss < MOST_MEMORY, `${rss} bytes of memory`);
  return turns;
}

/** Returns how many descriptors were there afterwards that were not before, too. */
async function playOnce(
  target: FuzzTarget,
  tape: Uint8Array,
): Promise<{ turns: number; left: number }> {
  const before = openNumbers();
  trackDescriptors();
  try {
    const turns = await target.play(new Dice(tape));
    const end = performance.now() + PATIENCE_MS;
    const isTidy = () => leakedDescriptors().length === 0 && openNumbers() <= before;
    while (!isTidy() && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.deepEqual(leakedDescriptors(), []);
    return { turns, left: openNumbers() - before };
  } finally {
    trackDescriptors(false);
  }
}
