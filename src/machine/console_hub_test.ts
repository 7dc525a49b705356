import assert from "node:assert/strict";
import { ConsoleHub } from "./console_hub.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);
const turn = () => new Promise<void>((resolve) => setTimeout(resolve));

/** A viewer that keeps what it sees. */
class Watcher {
  seen = "";
  ended = 0;
  write(data: Uint8Array): Promise<void> {
    this.seen += text(data);
    return Promise.resolve();
  }
  closed(): void {
    this.ended++;
  }
}

Deno.test("all viewers see what is printed, newcomers the last 64 KiB of it", async () => {
  using hub = new ConsoleHub();
  const first = new Watcher();
  hub.attach(first);
  const buffer = bytes("one ");
  await hub.write(buffer);
  buffer.fill(0);
  await hub.write(bytes("two"));
  const second = new Watcher();
  const unasked = new Watcher();
  hub.attach(second);
  hub.attach(unasked, { replay: false });
  await hub.write(bytes("!"));
  await turn();
  assert.deepEqual([first.seen, second.seen, unasked.seen], ["one two!", "one two!", "!"]);
});

Deno.test("the replay is the end of what was printed, however it came in pieces", async () => {
  for (const piece of [1000, 65536, 70001, 200_000]) {
    using hub = new ConsoleHub();
    const all = Array.from({ length: 210_000 }, (_, i) => String.fromCharCode(97 + i % 23)).join(
      "",
    );
    for (let at = 0; at < all.length; at += piece) {
      await hub.write(bytes(all.slice(at, at + piece)));
    }
    const late = new Watcher();
    hub.attach(late);
    await turn();
    assert.equal(late.seen, all.slice(-65536), `pieces of ${piece}`);
  }
});

Deno.test("a viewer that detached sees nothing more", async () => {
  using hub = new ConsoleHub();
  const viewer = new Watcher();
  {
    using _attached = hub.attach(viewer);
    await hub.write(bytes("seen"));
    await turn();
  }
  await hub.write(bytes("unseen"));
  await turn();
  assert.equal(viewer.seen, "seen");
});

Deno.test("a slow viewer holds nobody up: it is dropped, with a note", async () => {
  using hub = new ConsoleHub();
  const quick = new Watcher();
  hub.attach(quick);
  const gate = Promise.withResolvers<void>();
  let seen = "";
  let ended = 0;
  hub.attach({
    write: async (data) => {
      await gate.promise;
      seen += text(data);
    },
    closed: () => ended++,
  });
  for (let i = 0; i < 100; i++) await hub.write(bytes("x".repeat(4096)));
  await turn();
  assert.equal(quick.seen.length, 100 * 4096);
  assert.equal(ended, 0);
  gate.resolve();
  await turn();
  assert.match(seen, /^x{4096}\r\n\[spectrum: this viewer was too slow.*\]\r\n$/);
  assert.equal(ended, 1);
});

Deno.test("a viewer that fails is dropped", async () => {
  using hub = new ConsoleHub();
  let ended = 0;
  hub.attach({ write: () => Promise.reject(new Error("gone")), closed: () => ended++ });
  await hub.write(bytes("a"));
  await turn();
  await hub.write(bytes("b"));
  await turn();
  assert.equal(ended, 1);
});

Deno.test("one writes at a time, and what is typed stays in order", async () => {
  using hub = new ConsoleHub();
  let typed = "";
  const room = Promise.withResolvers<void>();
  hub.guest = {
    input: async (data) => {
      await room.promise;
      typed += text(data);
    },
  };
  const writer = hub.takeInput();
  assert.ok(writer !== undefined);
  assert.equal(hub.takeInput(), undefined);
  const first = writer.input(bytes("a"));
  const late = writer.input(bytes("dropped"));
  await turn();
  writer[Symbol.dispose]();
  await writer.input(bytes("not any more"));
  const next = hub.takeInput();
  assert.ok(next !== undefined);
  const second = next.input(bytes("b"));
  assert.equal(typed, "");
  room.resolve();
  await Promise.all([first, late, second]);
  assert.equal(typed, "ab");
  hub.guest = undefined;
  await next.input(bytes("to nobody"));
  assert.equal(typed, "ab");
});

Deno.test("the configured place may hold the guest up; disposing closes it and drops viewers", async () => {
  const gate = Promise.withResolvers<void>();
  let closed = false;
  const hub = new ConsoleHub({
    write: () => gate.promise,
    [Symbol.dispose]() {
      closed = true;
    },
  });
  const viewer = new Watcher();
  hub.attach(viewer);
  let written = false;
  const writing = hub.write(bytes("x")).then(() => written = true);
  await turn();
  assert.deepEqual([viewer.seen, written], ["x", false]);
  gate.resolve();
  await writing;
  hub[Symbol.dispose]();
  assert.deepEqual([closed, viewer.ended], [true, 1]);
});
