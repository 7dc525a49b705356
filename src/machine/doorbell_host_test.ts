import assert from "node:assert/strict";
import {
  EventFd,
  type Fd,
  leakedDescriptors,
  openFile,
  type Owned,
  trackDescriptors,
} from "../os/mod.ts";
import type { DoorbellUse } from "../pci/mod.ts";
import { DoorbellHost } from "./doorbell_host.ts";

const SLOTS = 4;

/** A function that notes what is bound. */
function fakeControl() {
  const bound = new Map<number, DoorbellUse>();
  return {
    bound,
    bind(slot: number, event: Owned<Fd>, use: DoorbellUse) {
      using _closed = event.move();
      if (slot >= SLOTS || bound.has(slot)) return false;
      bound.set(slot, use);
      return true;
    },
    unbind: (slot: number) => bound.delete(slot),
    clear: () => bound.clear(),
  };
}

function event(): Owned<Fd> {
  using event = EventFd.create();
  return event.fd.dup();
}

Deno.test("a worker binds events to free slots, and nothing that is no event", () => {
  const host = new DoorbellHost(SLOTS);
  const control = fakeControl();
  host.attach(control);
  const client = host.open();
  assert.equal(client.bind(1, event(), "interrupt"), undefined);
  assert.equal(client.bind(2, event(), "page"), undefined);
  assert.match(client.bind(1, event(), "page") ?? "", /slot 1 is taken/);
  assert.match(client.bind(SLOTS, event(), "page") ?? "", /slot 4/);
  using file = openFile("/dev/null");
  assert.match(client.bind(0, file, "interrupt") ?? "", /no event/);
  client.unbind(1);
  client.unbind(3);
  assert.deepEqual([...control.bound], [[2, "page"]]);
  host.clear();
  assert.equal(control.bound.size, 0);
  assert.equal(client.bind(2, event(), "page"), undefined);
});

Deno.test("what a worker says that is gone counts no more", () => {
  const host = new DoorbellHost(SLOTS);
  const control = fakeControl();
  host.attach(control);
  const first = host.open();
  assert.equal(first.bind(0, event(), "interrupt"), undefined);
  host.end();
  assert.equal(control.bound.size, 0);
  assert.match(first.bind(0, event(), "interrupt") ?? "", /gone/);
  const second = host.open();
  assert.equal(second.bind(0, event(), "interrupt"), undefined);
  first.unbind(0);
  assert.match(first.bind(1, event(), "page") ?? "", /gone/);
  assert.deepEqual([...control.bound], [[0, "interrupt"]]);
  host.open();
  assert.equal(control.bound.size, 0);
});

Deno.test("between two machines there are no doorbells", () => {
  const host = new DoorbellHost(SLOTS);
  const client = host.open();
  assert.match(client.bind(0, event(), "page") ?? "", /no doorbells/);
  host.attach(fakeControl());
  assert.equal(client.bind(0, event(), "page"), undefined);
  host.end();
  host.attach(undefined);
  assert.match(host.open().bind(0, event(), "page") ?? "", /no doorbells/);
});

Deno.test("an event that is refused is closed", () => {
  trackDescriptors();
  const host = new DoorbellHost(SLOTS);
  const without = host.open();
  without.bind(0, event(), "page");
  host.attach(fakeControl());
  without.bind(0, openFile("/dev/null"), "page");
  host.open();
  without.bind(0, event(), "page");
  assert.deepEqual(leakedDescriptors(), []);
  trackDescriptors(false);
});
