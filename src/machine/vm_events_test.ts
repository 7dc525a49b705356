import assert from "node:assert/strict";
import { VmEvents } from "./vm_events.ts";

Deno.test("listeners get what happens after they came, each all of it, until the end", async () => {
  const events = new VmEvents();
  events.add({ kind: "started" });
  const first = events.listen();
  const second = events.listen();
  events.add({ kind: "paused" });
  events.add({ kind: "device-away", device: "disk0" });
  events.end();
  for (const listener of [first, second]) {
    const kinds = [];
    for await (const { kind, time, device } of listener) {
      kinds.push([kind, !!Date.parse(time), device]);
    }
    assert.deepEqual(kinds, [["paused", true, undefined], ["device-away", true, "disk0"]]);
  }
  assert.deepEqual((await events.listen().next()).done, true);
});

Deno.test("a listener that waits is woken by an event, and ended by its signal", async () => {
  const events = new VmEvents();
  const abort = new AbortController();
  const listener = events.listen(abort.signal);
  const next = listener.next();
  events.add({ kind: "reset" });
  assert.equal((await next).value?.kind, "reset");
  const last = listener.next();
  abort.abort();
  assert.equal((await last).done, true);
  events.add({ kind: "reset" });
  assert.equal((await listener.next()).done, true);
});

Deno.test("what a listener leaves unread is bounded: the oldest go first", async () => {
  const events = new VmEvents();
  const listener = events.listen();
  for (let i = 0; i < 1500; i++) events.add({ kind: "reset", detail: String(i) });
  assert.equal((await listener.next()).value?.detail, "500");
});
