import assert from "node:assert/strict";
import { EventFd, Events, pollOne, setNonBlocking, socketPair } from "./mod.ts";

Deno.test("counts signals until they are drained", () => {
  using event = EventFd.create();
  assert.equal(event.drain(), 0);
  event.signal();
  event.signal();
  assert.equal(pollOne(event.fd, Events.In, 0), Events.In);
  assert.equal(event.drain(), 2);
  assert.equal(pollOne(event.fd, Events.In, 0), 0);
});

Deno.test("draining does not block, though a peer makes the event blocking", () => {
  using event = EventFd.create();
  setNonBlocking(event.fd, false);
  assert.equal(event.drain(), 0);
});

Deno.test("adopting takes the descriptor over", () => {
  using event = EventFd.create();
  const copy = event.fd.dup();
  using adopted = EventFd.adopt(copy);
  assert.equal(copy.closed, true);
  adopted.signal();
  assert.equal(event.drain(), 1);
});

Deno.test("something else in the place of an event does not block either", () => {
  const [a, b] = socketPair();
  using _b = b;
  using adopted = EventFd.adopt(a);
  assert.equal(adopted.drain(), 0);
});
