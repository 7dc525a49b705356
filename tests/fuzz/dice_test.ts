import assert from "node:assert/strict";
import { Dice } from "./mod.ts";

Deno.test("a tape decides, a byte each where that is enough, until it is used up", () => {
  const dice = new Dice(new Uint8Array([7, 1, 0, 0, 1, 0, 0, 9]));
  assert.equal(dice.below(5), 2);
  assert.equal(dice.below(0x101), 0x100);
  assert.equal(dice.below(2 ** 32), 0x0001_0000);
  assert.equal(dice.isOver, false);
  assert.equal(dice.of(["a", "b"]), "b");
  assert.equal(dice.isOver, true);
  assert.deepEqual([dice.below(5), dice.once(2), dice.once(1)], [0, false, true]);
  assert.deepEqual(dice.bytes(3), new Uint8Array(3));
});

Deno.test("noise is one decision", () => {
  const noise = (...tape: number[]) => new Dice(new Uint8Array(tape)).noise(9);
  assert.deepEqual(noise(1, 2, 3), noise(1, 2));
  assert.notDeepEqual(noise(1, 2), noise(3, 2));
});
