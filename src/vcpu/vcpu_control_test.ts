import assert from "node:assert/strict";
import { SharedState, StateArena } from "../bus/mod.ts";
import { Outcome } from "./outcome.ts";
import { Command, VcpuControl } from "./vcpu_control.ts";

function control(): VcpuControl {
  const arena = new StateArena(new SharedState(new SharedArrayBuffer(4096)));
  return new VcpuControl(arena.state, VcpuControl.allocate(arena));
}

Deno.test("a thread that was told to quit before it ran is not released", () => {
  const words = control();
  assert.equal(words.command, Command.Park);
  words.release();
  assert.equal(words.command, Command.Run);
  words.command = Command.Quit;
  words.release();
  assert.equal(words.command, Command.Quit);
});

Deno.test("the first outcome counts, with its detail", () => {
  const words = control();
  words.finish(Outcome.FailEntry, 0x8000_0021);
  words.finish(Outcome.Reset);
  assert.equal(words.outcome, Outcome.FailEntry);
  assert.equal(words.outcomeDetail, 0x8000_0021);
});

Deno.test("exits are counted by reason, rare ones together", () => {
  const words = control();
  for (const reason of [2, 2, 6, 39, 1000]) words.count(reason);
  assert.deepEqual(words.exits(), { 2: 2, 6: 1, 39: 2 });
});
