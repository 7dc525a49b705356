import assert from "node:assert/strict";
import {
  EventFd,
  type Fd,
  leakedDescriptors,
  memfd,
  Reactor,
  receiveMessage,
  sendMessage,
  socketPair,
  trackDescriptors,
} from "../os/mod.ts";
import {
  BackendAway,
  BackendDisconnected,
  BackendRefused,
  Frontend,
  type FrontendOptions,
  ProtocolError,
  ProtocolFeature,
} from "./mod.ts";
import { FrontendConnection } from "./frontend_connection.ts";
import {
  type Line,
  message,
  reply,
  type Script,
  ScriptedBackend,
  type ScriptedOptions,
  u32,
  u64,
} from "./scripted_backend.ts";

const ALL = ProtocolFeature.Mq | ProtocolFeature.ReplyAck | ProtocolFeature.Config |
  ProtocolFeature.BackendReq | ProtocolFeature.InflightShmfd | ProtocolFeature.ResetDevice;

interface Scene {
  readonly frontend: Frontend;
  readonly backend: ScriptedBackend;
  /** What onDisconnect was called with. */
  readonly lost: Error[];
  readonly configs: Uint8Array[];
}

/** Runs a frontend against a scripted backend, and then nothing may be left open. */
async function play(
  given: ScriptedOptions & { script?: Script; frontend?: Partial<FrontendOptions> },
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  trackDescriptors();
  {
    using reactor = new Reactor();
    const [ours, theirs] = socketPair();
    using backend = new ScriptedBackend(theirs, reactor, given, given.script);
    const lost: Error[] = [];
    const configs: Uint8Array[] = [];
    using frontend = new Frontend(ours, reactor, {
      name: "disk0",
      onDisconnect: (error) => lost.push(error),
      onConfigChange: (config) => configs.push(config),
      ...given.frontend,
    });
    await body({ frontend, backend, lost, configs });
  }
  await settled();
  assert.deepEqual(leakedDescriptors(), []);
  trackDescriptors(false);
}

/** Lets the reactors' pool threads end. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 20));

/** Waits for what a callback will bring about. */
async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await new Promise((go) => setTimeout(go, 5));
  assert.ok(condition(), "it did not come about within a second");
}

const USER = 0x7f00_0000_0000;

function startOptions(own: Disposable[]) {
  const keep = <T extends Disposable>(thing: T): T => {
    own.push(thing);
    return thing;
  };
  const queue = (index: number) => ({
    index,
    size: 256,
    desc: USER + 0x1000,
    avail: USER + 0x2000,
    used: USER + 0x3000,
    base: 7,
    kick: keep(EventFd.create()).fd,
    call: keep(EventFd.create()).fd,
  });
  const fd = keep(memfd("test", 0x10000));
  return {
    features: 1n << 32n,
    memory: [{ guestAddress: 0x10_0000, size: 0x10000, userAddress: USER, fd }],
    queues: [queue(0), queue(1)],
  };
}

const dispose = (things: Disposable[]) => {
  for (const thing of things) thing[Symbol.dispose]();
};

Deno.test("a backend with everything: negotiate, start, stop", async () => {
  const config = new Uint8Array(60).map((_, i) => i);
  const given = {
    features: (1n << 32n) | (1n << 26n) | (1n << 9n),
    protocolFeatures: ALL | ProtocolFeature.LogShmfd | ProtocolFeature.Pagefault,
    queueCount: 4,
    config,
    base: 300,
    makeInflight: () => memfd("inflight", 4096),
    frontend: { configSize: 60 },
  };
  await play(given, async ({ frontend, backend, lost }) => {
    const offer = await frontend.negotiate();
    // Logging is not for the driver, and LOG_SHMFD is not negotiated.
    assert.equal(offer.features, (1n << 32n) | (1n << 9n));
    assert.equal(offer.protocolFeatures, ALL);
    assert.equal(offer.queueCount, 4);
    assert.deepEqual(offer.config, config);
    assert.deepEqual(backend.order, [3, 1, 15, 16, 17, 21, 24]);
    const settled = backend.heard.find((heard) => heard.request === 16);
    assert.deepEqual(settled?.payload, u64(ALL));

    const own: Disposable[] = [];
    await frontend.start(startOptions(own));
    dispose(own);
    const queue = [8, 10, 9, 13, 12];
    const started = backend.heard.slice(7);
    assert.deepEqual(
      started.map((heard) => heard.request),
      [2, 31, 32, 5, ...queue, ...queue, 18, 18],
    );
    // Features carry bit 30 when protocol features are used, and every message wants its answer.
    assert.deepEqual(started[0].payload, u64((1n << 32n) | (1n << 30n)));
    assert.ok(started.every((heard) => heard.request === 31 || heard.flags === 9));
    assert.deepEqual(
      started[3].payload,
      new Uint8Array([
        ...u32(1),
        ...u32(0),
        ...u64(0x10_0000n),
        ...u64(0x10000n),
        ...u64(BigInt(USER)),
        ...u64(0n),
      ]),
    );
    assert.equal(started[3].fds.length, 1);
    // struct vhost_vring_addr: index, flags, descriptors, used, available, log.
    assert.deepEqual(
      started[6].payload,
      new Uint8Array([
        ...u32(0),
        ...u32(0),
        ...u64(BigInt(USER + 0x1000)),
        ...u64(BigInt(USER + 0x3000)),
        ...u64(BigInt(USER + 0x2000)),
        ...u64(0n),
      ]),
    );
    assert.deepEqual(started[5].payload, new Uint8Array([...u32(0), ...u32(7)]));

    assert.deepEqual(await frontend.stop(), [{ index: 0, base: 300 }, { index: 1, base: 300 }]);
    assert.deepEqual(backend.order.slice(-5), [11, 11, 18, 18, 34]);
    assert.deepEqual(lost, []);
  });
});

Deno.test("a backend with nothing: no protocol features, one queue, no config", async () => {
  await play({ base: 3, frontend: { configSize: 60 } }, async ({ frontend, backend }) => {
    const offer = await frontend.negotiate();
    assert.deepEqual(offer, {
      features: 1n << 32n,
      protocolFeatures: 0n,
      queueCount: 1,
      config: new Uint8Array(0),
      sharedMemory: [],
      memorySlots: 0,
    });
    const own: Disposable[] = [];
    const options = startOptions(own);
    await assert.rejects(frontend.start(options), RangeError, "it has no second queue");
    await frontend.start({ ...options, queues: options.queues.slice(0, 1) });
    dispose(own);
    assert.deepEqual(await frontend.stop(), [{ index: 0, base: 3 }]);
    // The GetFeatures at the end of start tells that the backend is still with us.
    assert.deepEqual(backend.order, [3, 1, 2, 5, 8, 10, 9, 13, 12, 1, 11]);
    assert.ok(backend.heard.every((heard) => heard.flags === 1));
    await assert.rejects(frontend.setConfig(0, new Uint8Array(1)), RangeError);
  });
});

Deno.test("the in-flight region goes to the next backend, and is not asked for again", async () => {
  const given = {
    protocolFeatures: ALL,
    queueCount: 2,
    makeInflight: () => memfd("inflight", 4096),
  };
  let kept: ReturnType<Frontend["takeInflight"]>;
  const own: Disposable[] = [];
  trackDescriptors();
  using reactor = new Reactor();
  for (const round of [0, 1]) {
    const [ours, theirs] = socketPair();
    using backend = new ScriptedBackend(theirs, reactor, given);
    using frontend = new Frontend(ours, reactor, { name: "disk0" });
    await frontend.negotiate();
    await frontend.start({ ...startOptions(own), inflight: kept });
    assert.equal(backend.order.includes(31), round === 0);
    const sent = backend.heard.find((heard) => heard.request === 32);
    assert.deepEqual(
      sent?.payload,
      new Uint8Array([...u64(4096n), ...u64(0n), 2, 0, 0, 1, 0, 0, 0, 0]),
    );
    assert.equal(sent.fds.length, 1);
    kept = frontend.takeInflight();
    assert.ok(kept !== undefined);
  }
  kept?.[Symbol.dispose]();
  dispose(own);
  reactor[Symbol.dispose]();
  await settled();
  assert.deepEqual(leakedDescriptors(), []);
  trackDescriptors(false);
});

Deno.test("config: writes are passed on; a refusal is only that", async () => {
  const script: Script = (heard) =>
    heard.request === 25 && heard.payload[12] === 9 ? [reply(25, u64(1n))] : undefined;
  const given = { protocolFeatures: ALL, config: new Uint8Array(8), script };
  await play({ ...given, frontend: { configSize: 8 } }, async ({ frontend, backend, lost }) => {
    await frontend.negotiate();
    await frontend.setConfig(4, new Uint8Array([1, 2]));
    const sent = backend.heard.at(-1);
    assert.equal(sent?.request, 25);
    assert.deepEqual(sent.payload, new Uint8Array([...u32(4), ...u32(2), ...u32(0), 1, 2]));
    await assert.rejects(frontend.setConfig(4, new Uint8Array([9])), BackendRefused);
    await assert.rejects(frontend.setConfig(7, new Uint8Array(2)), RangeError);
    await frontend.setConfig(0, new Uint8Array([3]));
    assert.deepEqual(lost, []);
  });
});

Deno.test("config: a backend that does not answer for that size refuses", async () => {
  const script: Script = (heard) => heard.request === 24 ? [reply(24)] : undefined;
  const given = { protocolFeatures: ALL, script, frontend: { configSize: 8 } };
  await play(given, async ({ frontend }) => {
    await assert.rejects(frontend.negotiate(), BackendRefused);
  });
});

Deno.test("a change that the backend announces is read, and acknowledged on request", async () => {
  const config = new Uint8Array(8);
  const given = { protocolFeatures: ALL, config, frontend: { configSize: 8 } };
  await play(given, async ({ frontend, backend, configs, lost }) => {
    await frontend.negotiate();
    const socket = backend.requestSocket;
    assert.ok(socket !== undefined);
    config[0] = 42;
    // Without and with NEED_REPLY, in two pieces.
    const announced = message(2, 1, new Uint8Array(0));
    sendMessage(socket, announced.subarray(0, 5));
    await until(() => true);
    sendMessage(socket, announced.subarray(5));
    await until(() => configs.length > 0);
    assert.equal(configs[0][0], 42);
    sendMessage(socket, message(2, 9, new Uint8Array(0)));
    await until(() => configs.length > 1);
    const answer = new Uint8Array(64);
    assert.equal(receiveMessage(socket, answer, 0).length, 20);
    assert.deepEqual(answer.subarray(0, 20), reply(2, u64(0n)).bytes);
    assert.deepEqual(lost, []);
  });
});

Deno.test("announcements without end are read together", async () => {
  const given = { protocolFeatures: ALL, config: new Uint8Array(8), frontend: { configSize: 8 } };
  await play(given, async ({ frontend, backend, configs, lost }) => {
    await frontend.negotiate();
    const socket = backend.requestSocket;
    assert.ok(socket !== undefined);
    for (let i = 0; i < 100; i++) sendMessage(socket, message(2, 1, new Uint8Array(0)));
    await until(() => configs.length > 0);
    await settled();
    assert.ok(configs.length < 50, `${configs.length} reads`);
    assert.deepEqual(lost, []);
  });
});

/** What a backend may not ask. */
const lyingRequests: [string, Uint8Array, ProtocolError["violation"]][] = [
  ["a reply", message(2, 5, new Uint8Array(0)), "reply-flag"],
  ["another version", message(2, 2, new Uint8Array(0)), "version"],
  ["something not negotiated", message(9, 1, new Uint8Array(40)), "unexpected"],
  ["something unknown", message(77, 1, new Uint8Array(0)), "unexpected"],
  ["a payload", message(2, 1, new Uint8Array(8)), "wrong-size"],
  ["a huge payload", message(2, 1, new Uint8Array(0), 0xffff_ffff), "oversized"],
];

for (const [what, bytes, violation] of lyingRequests) {
  Deno.test(`a backend's request that is ${what} breaks the connection`, async () => {
    const given = { protocolFeatures: ALL, config: new Uint8Array(8), frontend: { configSize: 8 } };
    await play(given, async ({ frontend, backend, lost }) => {
      await frontend.negotiate();
      assert.ok(backend.requestSocket !== undefined);
      sendMessage(backend.requestSocket, bytes);
      await until(() => lost.length > 0);
      assert.ok(lost[0] instanceof ProtocolError);
      assert.equal(lost[0].violation, violation);
      assert.equal(lost[0].channel, "backend");
      await assert.rejects(frontend.readConfig(), (error) => error === lost[0]);
    });
  });
}

type Lie = (heard: { payload: Uint8Array }) => Line[];
const some = () => [memfd("gift", 4096)];

/** Wrong answers: to which message, what is said, how it is judged. */
const lies: [string, number, Lie, ProtocolError["violation"]][] = [
  ["another message", 1, () => [reply(15, u64(0n))], "wrong-message"],
  ["an unknown message", 1, () => [reply(0xffff_ffff, u64(0n))], "wrong-message"],
  ["no reply flag", 1, () => [{ bytes: message(1, 1, u64(0n)) }], "reply-flag"],
  ["version 0", 1, () => [{ bytes: message(1, 4, u64(0n)) }], "version"],
  ["version 2", 1, () => [{ bytes: message(1, 6, u64(0n)) }], "version"],
  ["four bytes", 1, () => [reply(1, u32(0))], "wrong-size"],
  ["no bytes", 1, () => [reply(1)], "wrong-size"],
  ["a size of 4 GiB", 1, () => [{ bytes: message(1, 5, u64(0n), 0xffff_ffff) }], "oversized"],
  ["a size past every message", 1, () => [{ bytes: message(1, 5, u64(0n), 4097) }], "oversized"],
  ["a descriptor", 1, () => [{ ...reply(1, u64(0n)), fds: some() }], "descriptors"],
  ["nine descriptors", 1, () => [{
    ...reply(1, u64(0n)),
    fds: Array.from({ length: 9 }, some).flat(),
  }], "descriptors"],
  ["two answers", 1, () => [reply(1, u64(1n << 30n)), reply(1, u64(0n))], "unsolicited"],
  ["no queues", 17, () => [reply(17, u64(0n))], "value"],
  ["2^63 queues", 17, () => [reply(17, u64(1n << 63n))], "value"],
  ["config at another place", 24, () => [
    reply(24, u32(4), u32(8), u32(0), new Uint8Array(8)),
  ], "value"],
  ["config of another size", 24, () => [
    reply(24, u32(0), u32(256), u32(0), new Uint8Array(8)),
  ], "value"],
  ["too much config", 24, () => [
    reply(24, u32(0), u32(8), u32(0), new Uint8Array(9)),
  ], "wrong-size"],
  ["no in-flight descriptor", 31, () => [
    reply(31, u64(4096n), u64(0n), new Uint8Array(8)),
  ], "descriptors"],
  ["two in-flight descriptors", 31, () => [
    { ...reply(31, u64(4096n), u64(0n), new Uint8Array(8)), fds: [...some(), ...some()] },
  ], "descriptors"],
  ["an empty in-flight region", 31, () => [
    { ...reply(31, u64(0n), u64(0n), new Uint8Array(8)), fds: some() },
  ], "value"],
  ["an endless in-flight region", 31, () => [
    { ...reply(31, u64(1n << 63n), u64(1n << 63n), new Uint8Array(8)), fds: some() },
  ], "value"],
  ["a short acknowledgement", 5, () => [reply(5, u32(0))], "wrong-size"],
  ["an acknowledgement of another message", 5, () => [reply(2, u64(0n))], "wrong-message"],
  ["another queue's base", 11, () => [reply(11, u32(1), u32(0))], "value"],
  ["a base past the ring's index", 11, ({ payload }) => [
    reply(11, payload.slice(0, 4), u32(0x1_0000)),
  ], "value"],
];

for (const [what, request, lie, violation] of lies) {
  Deno.test(`a backend that answers message ${request} with ${what} breaks the protocol`, async () => {
    const given = {
      protocolFeatures: ALL,
      queueCount: 2,
      config: new Uint8Array(8),
      makeInflight: () => memfd("inflight", 4096),
      frontend: { configSize: 8 },
      script: ((heard) => heard.request === request ? lie(heard) : undefined) satisfies Script,
    };
    await play(given, async ({ frontend, lost }) => {
      const own: Disposable[] = [];
      const life = async () => {
        await frontend.negotiate();
        await frontend.start(startOptions(own));
        await frontend.stop();
      };
      await assert.rejects(life(), (error) => {
        assert.ok(error instanceof ProtocolError, `${error}`);
        assert.equal(error.violation, violation);
        assert.match(error.message, /backend of disk0 broke the protocol/);
        return true;
      });
      dispose(own);
      assert.equal(lost.length, 1);
      assert.equal(frontend.error, lost[0]);
      await assert.rejects(frontend.readConfig(), (error) => error === lost[0]);
    });
  });
}

Deno.test("what nobody asked for breaks the protocol, from the first byte on", async () => {
  for (const bytes of [reply(1, u64(0n)).bytes, new Uint8Array(1)]) {
    await play({}, async ({ frontend, backend, lost }) => {
      await frontend.negotiate();
      backend.say(bytes);
      await until(() => lost.length > 0);
      assert.ok(lost[0] instanceof ProtocolError);
      assert.equal(lost[0].violation, "unsolicited");
    });
  }
});

Deno.test("an answer may come byte by byte", async () => {
  const script: Script = (heard) => {
    if (heard.request !== 1) return undefined;
    return [...reply(1, u64(1n << 32n)).bytes].map((byte) => ({ bytes: new Uint8Array([byte]) }));
  };
  await play({ script }, async ({ frontend }) => {
    assert.equal((await frontend.negotiate()).features, 1n << 32n);
  });
});

Deno.test("a silent backend is away, also one that began to answer", async () => {
  for (const said of [[], [{ bytes: reply(1, u64(0n)).bytes.subarray(0, 14) }]]) {
    const script: Script = (heard) => heard.request === 1 ? said : undefined;
    await play({ script, frontend: { replyTimeoutMs: 50 } }, async ({ frontend, lost }) => {
      await assert.rejects(frontend.negotiate(), (error) => {
        assert.ok(error instanceof BackendAway);
        assert.equal(error.request, 1);
        return true;
      });
      assert.equal(lost.length, 1);
    });
  }
});

Deno.test("a backend that hangs up is disconnected", async () => {
  const partial = { bytes: reply(1, u64(0n)).bytes.subarray(0, 14) };
  const endings: [Line[], boolean][] = [[["hang up"], false], [[partial, "hang up"], true]];
  for (const [said, midMessage] of endings) {
    const script: Script = (heard) => heard.request === 1 ? said : undefined;
    await play({ script }, async ({ frontend, lost }) => {
      await assert.rejects(frontend.negotiate(), (error) => {
        assert.ok(error instanceof BackendDisconnected);
        assert.equal(error.request, 1);
        assert.equal(error.midMessage, midMessage);
        return true;
      });
      assert.equal(lost.length, 1);
    });
  }
  await play({}, async ({ frontend, backend, lost }) => {
    await frontend.negotiate();
    backend.close();
    await until(() => lost.length > 0);
    assert.ok(lost[0] instanceof BackendDisconnected);
    assert.equal(lost[0].request, undefined);
  });
});

Deno.test("a backend that does not read makes us wait, not block, and then it is away", async () => {
  trackDescriptors();
  {
    using reactor = new Reactor();
    const [ours, theirs] = socketPair();
    using _unread: Fd = theirs;
    const lost: Error[] = [];
    using connection = new FrontendConnection(ours, reactor, {
      name: "disk0",
      replyTimeoutMs: 100,
      onBroken: (error) => lost.push(error),
    });
    using event = EventFd.create();
    const sent = Array.from(
      { length: 2000 },
      () => connection.tell(25, new Uint8Array(2000), [event.fd]),
    );
    const results = await Promise.allSettled(sent);
    assert.equal(results[0].status, "fulfilled");
    const last = results.at(-1);
    assert.ok(last?.status === "rejected" && last.reason instanceof BackendAway);
    assert.equal(lost.length, 1);
  }
  await settled();
  assert.deepEqual(leakedDescriptors(), []);
  trackDescriptors(false);
});

Deno.test("disposing fails what is under way, and reports no loss", async () => {
  const script: Script = (heard) => heard.request === 1 ? [] : undefined;
  await play({ script }, async ({ frontend, lost }) => {
    const waiting = frontend.negotiate();
    frontend[Symbol.dispose]();
    await assert.rejects(waiting, /was closed/);
    assert.deepEqual(lost, []);
  });
});
