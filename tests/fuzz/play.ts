import assert from "node:assert/strict";
import { Chance } from "./chance.ts";
import { Dice } from "./dice.ts";
import type { FuzzTarget } from "./target.ts";

/** Bytes that this process may have in memory, whatever is played. */
const MOST_MEMORY = 2 ** 30;
/** What ends by itself after a game has so long. */
const PATIENCE_MS = 2000;

/** How many descriptors this process has. */
export const openNumbers = () => [...Deno.readDirSync("/proc/self/fd")].length;

/** To be done once in a process before others: what the runtime opens when it is first needed stays open. */
export async function playFirst(target: FuzzTarget): Promise<void> {
  await target.play(new Dice(new Chance(1).tape(64)));
}

/**
 * Plays the game of a tape. Beside what the game itself looks for, no descriptor may stay open, and memory not grow
 * without bound.
 *
 * @returns how many turns it had
 */
export async function play(target: FuzzTarget, tape: Uint8Array): Promise<number> {
  const before = openNumbers();
  const turns = await target.play(new Dice(tape));
  const end = performance.now() + PATIENCE_MS;
  while (openNumbers() !== before && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.equal(openNumbers(), before, "descriptors are left behind");
  const { rss } = Deno.memoryUsage();
  assert.ok(rss < MOST_MEMORY, `${rss} bytes of memory`);
  return turns;
}
