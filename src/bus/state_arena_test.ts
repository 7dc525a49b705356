import assert from "node:assert/strict";
import { SharedState } from "./shared_state.ts";
import { StateArena, StateExhausted } from "./state_arena.ts";

Deno.test("ranges are aligned, apart from each other, and never at zero", () => {
  const arena = new StateArena(new SharedState(new SharedArrayBuffer(1024)));
  const first = arena.allocate(5);
  const second = arena.allocate(4, 64);
  const third = arena.allocate(8);
  assert.ok(first > 0 && first % 8 === 0);
  assert.ok(second >= first + 5 && second % 64 === 0);
  assert.ok(third >= second + 4 && third % 8 === 0);
});

Deno.test("asking for too much is an error with the numbers in it", () => {
  const arena = new StateArena(new SharedState(new SharedArrayBuffer(128)));
  assert.throws(
    () => arena.allocate(65),
    (error) => error instanceof StateExhausted && error.wanted === 65 && error.left === 64,
  );
  assert.throws(() => arena.allocate(4, 3), RangeError);
});
