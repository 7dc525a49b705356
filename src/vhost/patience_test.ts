import assert from "node:assert/strict";
import { Patience } from "./patience.ts";

/** How often it looks when nothing comes. */
function looksInVain(patience: Patience): number {
  let looks = 0;
  assert.equal(patience.watch(() => (looks++, false)), false);
  return looks;
}

Deno.test("patience runs out when nothing comes, and is tried again now and then", () => {
  const patience = new Patience(128);
  const first = looksInVain(patience);
  assert.equal(looksInVain(patience), first / 2);
  while (looksInVain(patience) > 0);
  let opportunities = 1;
  while (looksInVain(patience) === 0) opportunities++;
  assert.ok(opportunities >= 30 && opportunities <= 32, `${opportunities}`);
});

Deno.test("patience is whole again when something came", () => {
  const patience = new Patience(128);
  const first = looksInVain(patience);
  looksInVain(patience);
  let looks = 0;
  assert.equal(patience.watch(() => ++looks === 5), true);
  assert.equal(looksInVain(patience), first);
});
