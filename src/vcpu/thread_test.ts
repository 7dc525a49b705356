import assert from "node:assert/strict";
import { SharedState, StateArena } from "../bus/mod.ts";
import { EventFd, payload } from "../os/mod.ts";
import { Outcome } from "./outcome.ts";
import { SpareThreads } from "./spare_threads.ts";
import { ThreadState, VcpuControl } from "./vcpu_control.ts";

Deno.test("an error of ours in a vCPU's thread reaches the control thread, with its words", async () => {
  const arena = new StateArena(new SharedState(new SharedArrayBuffer(4096)));
  const at = VcpuControl.allocate(arena);
  const control = new VcpuControl(arena.state, at);
  using attention = EventFd.create();
  const { device, ...paths } = payload();
  using threads = new SpareThreads(1);
  const [worker] = threads.take();
  const told = Promise.withResolvers<string>();
  worker.onerror = (event) => {
    event.preventDefault();
    told.resolve(event.message);
  };
  const late = setTimeout(() => told.reject(new Error("nothing was told")), 5000);
  worker.postMessage({
    payload: { ...paths, device: [...device] },
    state: arena.state.buffer,
    control: at,
    attention: attention.fd.share(),
    window: { windowBase: 0, windowSize: 4096 },
  });
  try {
    assert.match(await told.promise, /window has no address/);
  } finally {
    clearTimeout(late);
    worker.terminate();
  }
  assert.equal(control.outcome, Outcome.ThreadFailed);
  assert.equal(control.state, ThreadState.Gone);
  assert.equal(attention.drain(), 1);
});
