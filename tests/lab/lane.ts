import { Bench } from "./machine.ts";

/** A group of tests, steps of the test it is handed. */
export type Group = (t: Deno.TestContext, bench: Bench) => Promise<void>;

/**
 * Tests that need real KVM, one after the other in one lab host, since booting it is slow. A lab host has one CPU, so files
 * with a lane each run side by side (`deno test --parallel`).
 *
 * `SPECTRUM_LAB_ONLY=disk,wl` runs two groups of whatever lane.
 *
 * @param byHand groups that run when they are named, since CI has no more time
 */
export function lane(
  name: string,
  groups: Readonly<Record<string, Group>>,
  byHand: Readonly<Record<string, Group>> = {},
): void {
  const only = Deno.env.get("SPECTRUM_LAB_ONLY")?.split(",");
  const chosen = only === undefined
    ? Object.entries(groups)
    : Object.entries({ ...groups, ...byHand }).filter(([name]) => only.includes(name));
  Deno.test(name, { ignore: chosen.length === 0 }, async (t) => {
    await using bench = await Bench.open();
    for (const [name, group] of chosen) await t.step(name, (t) => group(t, bench));
  });
}
