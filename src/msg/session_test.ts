import assert from "node:assert/strict";
import * as v from "valibot";
import {
  type Fd,
  leakedDescriptors,
  openFile,
  type Owned,
  Reactor,
  read,
  sendMessage,
  socketPair,
  trackDescriptors,
} from "../os/mod.ts";
import { encodeValue } from "./cbor.ts";
import { FRAME_MAGIC, FrameHeader } from "./frame.ts";
import {
  AsyncPeer,
  BlockingPeer,
  byteTransport,
  defineMessages,
  descriptor,
  DisconnectedError,
  type Handlers,
  PeerError,
  RequestError,
  SendError,
  type SentBody,
  unixTransport,
  type Violation,
} from "./mod.ts";

const messages = defineMessages({
  add: {
    doc: "Adds numbers.",
    body: v.strictObject({ a: v.number(), b: v.optional(v.number()) }),
    answer: v.strictObject({ sum: v.number() }),
  },
  open: {
    doc: "Opens a file.",
    body: v.strictObject({ path: v.string() }),
    answer: v.strictObject({ file: descriptor }),
    errors: { "not-found": "there is no such file" },
  },
  size: {
    doc: "Tells how many descriptors came.",
    body: v.strictObject({ files: v.array(descriptor) }),
    answer: v.number(),
  },
  wait: { doc: "Is answered when it is cancelled.", body: v.null(), answer: v.string() },
  take: { doc: "Takes a file.", body: v.strictObject({ file: v.optional(descriptor) }) },
});
type Served = typeof messages;
const nothing = defineMessages({});

interface Seen {
  taken: Owned<Fd>[];
  aborted: string[];
  faults: unknown[];
}

function handlers(seen: Seen): Handlers<Served> {
  return {
    add: ({ a, b = 0 }) => ({ sum: a + b }),
    open({ path }) {
      if (!path.startsWith("/dev/")) throw new RequestError("not-found", `no ${path}`);
      if (path === "/dev/fault") throw new Error("a secret");
      return { file: openFile(path) };
    },
    size: async ({ files }) => {
      await Promise.resolve();
      assert(files.every(({ closed }) => !closed));
      return files.length;
    },
    wait: (_body, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          seen.aborted.push("wait");
          reject(new RequestError("cancelled", "as you like"));
        });
      }),
    take({ file }) {
      if (file !== undefined) seen.taken.push(file.move());
    },
  };
}

interface Bench {
  readonly client: AsyncPeer<Served, typeof nothing>;
  readonly server: AsyncPeer<typeof nothing, Served>;
  readonly seen: Seen;
  readonly reactor: Reactor;
}

async function pair(test: (bench: Bench) => Promise<void>, transport = unixTransport) {
  await leakless(async () => {
    using reactor = new Reactor();
    const seen: Seen = { taken: [], aborted: [], faults: [] };
    const [a, b] = socketPair();
    using client = new AsyncPeer(transport(a), reactor, {
      calls: messages,
      serves: nothing,
      handlers: {},
    });
    using server = new AsyncPeer(transport(b), reactor, {
      calls: nothing,
      serves: messages,
      handlers: handlers(seen),
      onFault: (error) => seen.faults.push(error),
    });
    try {
      await test({ client, server, seen, reactor });
    } finally {
      for (const fd of seen.taken) fd[Symbol.dispose]();
    }
  });
}

async function leakless(body: () => Promise<void>): Promise<void> {
  trackDescriptors();
  try {
    await body();
    // The reactor closes what is its own on its next turn.
    for (let i = 0; i < 50 && leakedDescriptors().length > 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.deepEqual(leakedDescriptors(), []);
  } finally {
    trackDescriptors(false);
  }
}

const failsWith = (code: string) => (error: unknown) => {
  assert(error instanceof RequestError, String(error));
  assert.equal(error.code, code);
  return true;
};

Deno.test("requests are answered, many at a time, in any order", async () => {
  await pair(async ({ client }) => {
    const sums = await Promise.all(
      Array.from({ length: 500 }, (_, i) => client.request("add", { a: i, b: i })),
    );
    assert.deepEqual(sums.map(({ body }) => body.sum), sums.map((_, i) => 2 * i));
    using one = await client.request("add", { a: 1, b: undefined });
    assert.equal(one.body.sum, 1);
  });
});

Deno.test("descriptors in requests and answers; the message closes what is not taken", async () => {
  await pair(async ({ client, seen }) => {
    using lent = openFile("/dev/null");
    const given = openFile("/dev/null");
    using size = await client.request("size", { files: [given, lent.borrow(), lent.borrow()] });
    assert.equal(size.body, 3);
    assert.deepEqual([given.closed, lent.closed], [true, false]);

    using answer = await client.request("open", { path: "/dev/zero" });
    using file = answer.body.file.move();
    assert.equal(read(file, new Uint8Array(3)), 3);
    const untaken = await client.request("open", { path: "/dev/zero" });
    untaken[Symbol.dispose]();
    assert.equal(untaken.body.file.closed, true);

    client.note("take", { file: openFile("/dev/null") });
    client.note("take", {});
    await client.request("add", { a: 0 });
    assert.equal(seen.taken.length, 1);
    assert.equal(seen.taken[0].closed, false);
  });
});

Deno.test("errors cross with their code; other exceptions without their text", async () => {
  await pair(async ({ client, seen }) => {
    await assert.rejects(client.request("open", { path: "/etc" }), failsWith("not-found"));
    await assert.rejects(client.request("open", { path: "/dev/fault" }), (error) => {
      assert.equal(String(error).includes("secret"), false);
      return failsWith("internal")(error);
    });
    assert.match(String(seen.faults), /a secret/);
    assert.equal((await client.request("add", { a: 2 })).body.sum, 2);
  });
});

Deno.test("a request can be cancelled, and has a deadline; the handler is told", async () => {
  await pair(async ({ client, seen }) => {
    const control = new AbortController();
    const waiting = client.request("wait", null, { signal: control.signal });
    control.abort();
    await assert.rejects(waiting, failsWith("cancelled"));
    await assert.rejects(client.request("wait", null, { timeoutMs: 5 }), failsWith("timeout"));
    await client.request("add", { a: 0 });
    assert.deepEqual(seen.aborted, ["wait", "wait"]);
  });
});

Deno.test("closing ends what waits at both ends", async () => {
  await pair(async ({ client, server, seen }) => {
    const waiting = client.request("wait", null);
    await client.request("add", { a: 0 });
    client[Symbol.dispose]();
    await assert.rejects(waiting, DisconnectedError);
    assert(await server.closed instanceof DisconnectedError);
    assert.deepEqual(seen.aborted, ["wait"]);
    await assert.rejects(client.request("add", { a: 0 }), SendError);
  });
});

Deno.test("what the schema does not allow is refused here, and breaks the connection there", async () => {
  await pair(async ({ client, server }) => {
    const wrong = { a: "1" } as unknown as SentBody<Served, "add">;
    await assert.rejects(client.request("add", wrong), { name: "SendError", reason: "invalid" });
    const number = { files: [3] } as unknown as SentBody<Served, "size">;
    const given = openFile("/dev/null");
    number.files.unshift(given);
    await assert.rejects(client.request("size", number), {
      name: "SendError",
      reason: "descriptor",
      message: /files\.1: a descriptor is expected/,
    });
    assert.equal(given.closed, true);
    assert.equal((await client.request("add", { a: 2 })).body.sum, 2);
    assert(server);
  });
});

Deno.test("a byte stream carries the same messages, without descriptors", async () => {
  await pair(async ({ client }) => {
    assert.equal((await client.request("add", { a: 1, b: 1 })).body.sum, 2);
    await assert.rejects(client.request("size", { files: [openFile("/dev/null")] }), {
      reason: "too-many-descriptors",
    });
    // Its answer would have one: told as a failure of the other end.
    await assert.rejects(client.request("open", { path: "/dev/null" }), failsWith("internal"));
  }, byteTransport);
});

Deno.test("a blocking end is served while it waits, and sees the peer's death at once", async () => {
  await leakless(async () => {
    const [a, b] = socketPair();
    const program = new URL("./testdata/blocking_end.ts", import.meta.url).href;
    using held = b;
    const worker = new Worker(program, { type: "module" });
    const ended = Promise.withResolvers<string>();
    worker.onmessage = ({ data }) => ended.resolve(data);
    using reactor = new Reactor();
    const asked: number[] = [];
    const back = defineMessages({
      double: { doc: "Doubles.", body: v.number(), answer: v.number() },
    });
    const front = defineMessages({
      quadruple: { doc: "Doubles twice.", body: v.number(), answer: v.number() },
    });
    using peer = new AsyncPeer(unixTransport(a), reactor, {
      calls: front,
      serves: back,
      handlers: {
        double(n) {
          asked.push(n);
          return 2 * n;
        },
      },
    });
    worker.postMessage(held.share());
    assert.equal((await peer.request("quadruple", 3)).body, 12);
    assert.deepEqual(asked, [3, 6]);
    peer[Symbol.dispose]();
    assert.equal(await ended.promise, "DisconnectedError: The peer has closed its message socket");
    worker.terminate();
  });
});

Deno.test("a blocking request: a deadline, and a peer that dies meanwhile", () => {
  const [a, b] = socketPair();
  const options = { calls: messages, serves: nothing, handlers: {} };
  using peer = new BlockingPeer(unixTransport(a), options);
  assert.throws(() => peer.request("add", { a: 1 }, 5), failsWith("timeout"));
  b.close();
  assert.throws(() => peer.request("add", { a: 1 }), SendError);
  assert.equal(peer.wait(0), false);
  const [c, d] = socketPair();
  using other = new BlockingPeer(unixTransport(c), options);
  other.note("take", {});
  d.close();
  assert.throws(
    () => other.request("add", { a: 1 }),
    (error) => error instanceof DisconnectedError || error instanceof SendError,
  );
});

/** A peer that sends what it likes. */
function hostile(value: unknown, descriptors = 0): Uint8Array {
  const { payload } = encodeValue(value);
  const header = FrameHeader.encode({ magic: FRAME_MAGIC, length: payload.length, descriptors });
  return new Uint8Array([...header, ...payload]);
}

Deno.test("a peer that breaks the rules is told from one that leaves", async () => {
  const deep = new Uint8Array(60_000).fill(0x81);
  const wide = new Uint8Array(200_005);
  wide.set([0x9a, 0, 3, 13, 64]);
  const raw = (payload: Uint8Array) =>
    new Uint8Array([
      ...FrameHeader.encode({ magic: FRAME_MAGIC, length: payload.length }),
      ...payload,
    ]);
  const cases: [string, Uint8Array, Violation][] = [
    ["no envelope", hostile({ a: 1 }), "schema"],
    ["an unknown message", hostile([0, "nonsense", {}]), "schema"],
    ["an inherited name", hostile([0, "toString", {}]), "schema"],
    ["a wrong body", hostile([1, 1, "add", { a: "x" }]), "schema"],
    ["an additional key", hostile([1, 1, "add", { a: 1, c: 1 }]), "schema"],
    ["a request without id", hostile([0, "add", { a: 1 }]), "sequence"],
    ["an answer to nothing", hostile([2, 7, {}]), "sequence"],
    ["an id that is none", hostile([1, -1, "add", { a: 1 }]), "schema"],
    ["nesting without end", raw(deep), "encoding"],
    ["more values than a message may have", raw(wide), "encoding"],
    ["a tag of others", raw(new Uint8Array([0xc1, 0])), "encoding"],
    ["something after the end", raw(new Uint8Array([0, 0])), "encoding"],
    ["a descriptor that did not come", raw(new Uint8Array([0xd9, 0x46, 0x44, 0])), "encoding"],
    ["one that is not named", hostile([0, "take", {}], 1), "encoding"],
  ];
  for (const [name, bytes, violation] of cases) {
    await leakless(async () => {
      using reactor = new Reactor();
      const [a, b] = socketPair();
      using theirs = b;
      using server = new AsyncPeer(unixTransport(a), reactor, {
        calls: nothing,
        serves: messages,
        handlers: handlers({ taken: [], aborted: [], faults: [] }),
      });
      using file = openFile("/dev/null");
      sendMessage(theirs, bytes, bytes[2] === 1 ? [file] : []);
      const error = await server.closed;
      assert(error instanceof PeerError, `${name}: ${error}`);
      assert.equal(error.violation, violation, `${name}: ${error.message}`);
    });
  }
});

Deno.test("a peer that asks and does not read is not served without end", async () => {
  await leakless(async () => {
    using reactor = new Reactor();
    const [a, b] = socketPair();
    using theirs = b;
    let served = 0;
    const echo = defineMessages({
      echo: { doc: "Sends it back.", body: v.null(), answer: v.string() },
    });
    using server = new AsyncPeer(unixTransport(a), reactor, {
      calls: nothing,
      serves: echo,
      handlers: {
        echo() {
          served++;
          return "x".repeat(10_000);
        },
      },
    });
    const request = (id: number) => hostile([1, id, "echo", null]);
    let sent = 0;
    // Until its socket takes no more for a while.
    for (let idle = 0; idle < 20;) {
      const count = sendMessage(theirs, request(sent), [], 0x40);
      if (count > 0) {
        sent++;
        idle = 0;
      } else {
        idle++;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    assert(served < 200, `${served} of ${sent} were served`);
    theirs.close();
    assert(await server.closed instanceof DisconnectedError);
  });
});
