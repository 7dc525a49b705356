import assert from "node:assert/strict";
import { EventFd, Reactor, receiveMessage, sendMessage, socketPair } from "./mod.ts";

const soon = () => new Promise<void>((resolve) => setTimeout(resolve, 20));

Deno.test("calls back while there is something to read", async () => {
  using reactor = new Reactor();
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  const seen: number[] = [];
  const buffer = new Uint8Array(1);
  const done = Promise.withResolvers<void>();
  reactor.add(a, () => {
    assert.equal(receiveMessage(a, buffer, 0).length, 1);
    seen.push(buffer[0]);
    if (seen.length === 3) done.resolve();
  });
  sendMessage(b, new Uint8Array([1, 2, 3]));
  await done.promise;
  assert.deepEqual(seen, [1, 2, 3]);
});

Deno.test("a callback may remove itself and others, and add", async () => {
  using reactor = new Reactor();
  using one = EventFd.create();
  using two = EventFd.create();
  using three = EventFd.create();
  const calls: string[] = [];
  const done = Promise.withResolvers<void>();
  const removes = new Map<string, () => void>();
  const race = (name: string, event: EventFd, other: string) => {
    const remove = reactor.add(event.fd, () => {
      calls.push(name);
      removes.get(name)?.();
      removes.get(other)?.();
      reactor.add(three.fd, () => {
        three.drain();
        done.resolve();
      });
    });
    removes.set(name, remove);
  };
  race("one", one, "two");
  race("two", two, "one");
  one.signal();
  two.signal();
  three.signal();
  await done.promise;
  await soon();
  assert.equal(calls.length, 1, "the removed one was not called any more");
});

Deno.test("closing a watched descriptor removes it, and its number may be reused", async () => {
  using reactor = new Reactor();
  const first = EventFd.create();
  const number = first.fd.raw();
  const remove = reactor.add(first.fd, () => assert.fail("closed"));
  first.signal();
  first[Symbol.dispose]();
  using second = EventFd.create();
  assert.equal(second.fd.raw(), number);
  const done = Promise.withResolvers<void>();
  reactor.add(second.fd, () => {
    second.drain();
    done.resolve();
  });
  remove();
  second.signal();
  await done.promise;
});

Deno.test("a paused descriptor is silent until it is wanted again", async () => {
  using reactor = new Reactor();
  using event = EventFd.create();
  let calls = 0;
  reactor.add(event.fd, () => {
    calls++;
    reactor.change(event.fd, 0);
  });
  event.signal();
  await soon();
  assert.equal(calls, 1);
  reactor.change(event.fd, 1);
  await soon();
  assert.equal(calls, 2);
});

Deno.test("the process ends when nothing is watched, or the reactor is disposed", async () => {
  for (const ending of ["remove()", "reactor[Symbol.dispose]()"]) {
    const code = `
      import { EventFd, Reactor } from ${JSON.stringify(import.meta.resolve("./mod.ts"))};
      const reactor = new Reactor();
      const event = EventFd.create();
      const remove = reactor.add(event.fd, () => {});
      await new Promise((resolve) => setTimeout(resolve, 50));
      ${ending};`;
    const command = new Deno.Command(Deno.execPath(), { args: ["eval", "--no-lock", code] });
    const timer = AbortSignal.timeout(10_000);
    const child = command.spawn();
    timer.addEventListener("abort", () => child.kill());
    assert.equal((await child.status).code, 0, ending);
  }
});

Deno.test("a callback that throws is an uncaught error and the others go on", async () => {
  using reactor = new Reactor();
  using bad = EventFd.create();
  using good = EventFd.create();
  const errors: string[] = [];
  const listener = (event: ErrorEvent) => {
    event.preventDefault();
    errors.push(event.error.message);
  };
  globalThis.addEventListener("error", listener);
  const done = Promise.withResolvers<void>();
  reactor.add(bad.fd, () => {
    bad.drain();
    throw new Error("mine");
  });
  reactor.add(good.fd, () => {
    good.drain();
    done.resolve();
  });
  bad.signal();
  await soon();
  good.signal();
  await done.promise;
  globalThis.removeEventListener("error", listener);
  assert.deepEqual(errors, ["mine"]);
});

Deno.test("a watched descriptor may be handed on", async () => {
  using reactor = new Reactor();
  using event = EventFd.create();
  const moved = event.fd.dup();
  let calls = 0;
  const remove = reactor.add(moved, () => {
    event.drain();
    calls++;
  });
  const owner = moved.move();
  event.signal();
  await soon();
  owner[Symbol.dispose]();
  event.signal();
  await soon();
  remove();
  assert.equal(calls, 1);
});
