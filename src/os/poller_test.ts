import assert from "node:assert/strict";
import { EventFd, Events, openFile, Poller, socketPair } from "./mod.ts";

Deno.test("reports tags and events of what is ready", () => {
  using poller = new Poller();
  using one = EventFd.create();
  using two = EventFd.create();
  poller.add(one.fd, 1);
  poller.add(two.fd, 0xffff_fffe);
  assert.equal(poller.wait(0), 0);
  two.signal();
  assert.equal(poller.wait(-1), 1);
  assert.equal(poller.tag(0), 0xffff_fffe);
  assert.equal(poller.events(0), Events.In);
  one.signal();
  assert.equal(poller.wait(-1), 2);
  assert.equal(poller.wait(-1), 2, "level-triggered");
});

Deno.test("changing and removing", () => {
  using poller = new Poller();
  using event = EventFd.create();
  poller.add(event.fd, 1);
  event.signal();
  poller.change(event.fd, 7, Events.In | Events.Out);
  assert.equal(poller.wait(0), 1);
  assert.equal(poller.tag(0), 7);
  assert.equal(poller.events(0), Events.In | Events.Out);
  poller.remove(event.fd);
  poller.remove(event.fd);
  assert.equal(poller.wait(0), 0);
});

Deno.test("closing a watched descriptor removes it, though a copy stays open", () => {
  using poller = new Poller();
  const event = EventFd.create();
  using copy = EventFd.adopt(event.fd.dup());
  poller.add(event.fd, 1);
  copy.signal();
  assert.equal(poller.wait(0), 1);
  event[Symbol.dispose]();
  assert.equal(poller.wait(0), 0);
});

Deno.test("the peer's end is seen", () => {
  using poller = new Poller();
  const [a, b] = socketPair();
  using _a = a;
  poller.add(a, 3, Events.In | Events.PeerClosed);
  b[Symbol.dispose]();
  assert.equal(poller.wait(0), 1);
  assert.equal(poller.events(0), Events.In | Events.PeerClosed | Events.HangUp);
});

Deno.test("refuses a second watch and plain files", () => {
  using poller = new Poller();
  using event = EventFd.create();
  poller.add(event.fd, 1);
  assert.throws(() => poller.add(event.fd, 2), { code: "EEXIST" });
  using file = openFile("/etc/passwd");
  assert.throws(() => poller.add(file, 1), { code: "EPERM" });
});

Deno.test("waits for the time given", () => {
  using poller = new Poller();
  const start = performance.now();
  assert.equal(poller.wait(20), 0);
  assert.ok(performance.now() - start >= 19);
});

Deno.test("a watched descriptor may be handed on", () => {
  using poller = new Poller();
  using event = EventFd.create();
  using copy = event.fd.dup();
  poller.add(copy, 1);
  const moved = copy.move();
  event.signal();
  assert.equal(poller.wait(0), 1);
  moved[Symbol.dispose]();
  assert.equal(poller.wait(0), 0);
});

Deno.test("a poller inside of another leaves the thread's last wait as it is", () => {
  using outer = new Poller();
  using inner = new Poller();
  using one = EventFd.create();
  using two = EventFd.create();
  outer.add(one.fd, 1);
  outer.add(inner.fd, 2, Events.In | Events.EdgeTriggered);
  inner.add(two.fd, 3, Events.In | Events.EdgeTriggered);
  const happened = new Uint32Array(128);
  assert.equal(inner.take(happened), 0);
  one.signal();
  two.signal();
  assert.equal(outer.wait(0), 2);
  assert.equal(inner.take(happened), 1);
  assert.deepEqual([...happened.subarray(0, 2)], [3, Events.In]);
  assert.deepEqual([outer.tag(0), outer.tag(1)].sort(), [1, 2]);
  assert.equal(inner.take(happened), 0);
  one.drain();
  assert.equal(outer.wait(0), 0);
  two.signal();
  assert.equal(outer.wait(0), 1);
  assert.equal(outer.tag(0), 2);
});
