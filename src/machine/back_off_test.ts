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

Deno.test("attempts may take longer each time, up to sixteen times as long", () => {
  const backOff = new BackOff();
  const stretches = Array.from({ length: 6 }, () => {
    const { stretch } = backOff;
    backOff.failed();
    return stretch;
  });
  assert.deepEqual(stretches, [1, 2, 4, 8, 16, 16]);
  backOff.forget();
  assert.equal(backOff.stretch, 1);
});
