import assert from "node:assert/strict";
import { BackOff } from "./back_off.ts";

/** The pauses after failures of what has worked for so long each. */
function pauses(backOff: BackOff, worked: readonly number[]): number[] {
  return worked.map((time) => {
    backOff.failed(time);
    return backOff.pause;
  });
}

Deno.test("pauses double up to five seconds, and stay there", () => {
  const backOff = new BackOff();
  assert.deepEqual(pauses(backOff, Array(10).fill(0)), [
    ...[50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000],
  ]);
  assert.equal(backOff.failures, 10);
});

Deno.test("what has worked for ten times its pause begins anew", () => {
  const backOff = new BackOff();
  assert.deepEqual(pauses(backOff, [1e9, 499, 1000, 1000, 1000]), [50, 100, 50, 50, 50]);
  assert.equal(backOff.failures, 1);
  assert.deepEqual(pauses(backOff, [0, 0, 1999]), [100, 200, 400]);
  backOff.forget();
  assert.deepEqual([backOff.failures, backOff.pause], [0, 0]);
});
