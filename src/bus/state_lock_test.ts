import assert from "node:assert/strict";
import { SharedState } from "./shared_state.ts";
import { StateArena } from "./state_arena.ts";
import { StateLock } from "./state_lock.ts";

Deno.test("a lock is taken, given back, and given back by a failing action", () => {
  const state = new SharedState(new SharedArrayBuffer(256));
  const at = StateLock.allocate(new StateArena(state));
  const lock = new StateLock(state, at);
  assert.equal(lock.run(() => state.words[at / 4]), 1);
  assert.throws(() =>
    lock.run(() => {
      throw new Error("inside");
    }), /inside/);
  assert.equal(state.words[at / 4], 0);
});

Deno.test("two workers and the main thread count under one lock without losing any", async () => {
  const state = new SharedState(new SharedArrayBuffer(4096));
  const arena = new StateArena(state);
  const at = StateLock.allocate(arena);
  const counter = arena.allocate(8);
  const lock = new StateLock(state, at);
  const rounds = 50_000;
  const workers = [0, 1].map(() => {
    const url = new URL("./state_lock_test_worker.ts", import.meta.url);
    return new Worker(url, { type: "module" });
  });
  const done = workers.map((worker) =>
    new Promise<void>((resolve, reject) => {
      worker.onmessage = () => resolve();
      worker.onerror = reject;
    })
  );
  for (const worker of workers) {
    worker.postMessage({ buffer: state.buffer, lock: at, counter, rounds });
  }
  for (let i = 0; i < rounds; i++) {
    lock.run(() => {
      state.view.setUint32(counter, state.view.getUint32(counter, true) + 1, true);
    });
    if (i % 1000 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  await Promise.all(done);
  for (const worker of workers) worker.terminate();
  assert.equal(state.view.getUint32(counter, true), 3 * rounds);
  assert.equal(state.words[at / 4], 0, "the lock is free at the end");
});
