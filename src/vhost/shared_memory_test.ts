import assert from "node:assert/strict";
import {
  type Fd,
  memfd,
  MessageFlags,
  Poller,
  Reactor,
  receiveMessage,
  sendMessage,
  socketPair,
  Window,
} from "../os/mod.ts";
import { DeviceId, type SharedMemoryMapper, type VirtioDevice } from "../virtio/mod.ts";
import {
  Backend,
  BackendAway,
  Frontend,
  localLink,
  ProtocolError,
  ProtocolFeature,
  type SharedMemoryRequest,
} from "./mod.ts";
import { RawFrontend } from "./raw_frontend.ts";
import { message, reply, ScriptedBackend, u32, u64 } from "./scripted_backend.ts";

// Numbers and bytes here are the specification's, written out.
const FEATURES = ProtocolFeature.ReplyAck | ProtocolFeature.BackendReq |
  ProtocolFeature.BackendSendFd | ProtocolFeature.Shmem;
const MAP = 9, UNMAP = 10;
const NEED_REPLY = 1 | 8;
const GIB = 1n << 30n;
const REPLY_TIMEOUT_MS = 200;

const window = Window.reserve(2 ** 36);

/** struct VhostUserMMap */
function mapping(
  [region, fdOffset, offset, length, flags]: [number, bigint, bigint, bigint, bigint],
): Uint8Array {
  const head = [region, 0, 0, 0, 0, 0, 0, 0];
  const rest = [fdOffset, offset, length, flags].flatMap((value) => [...u64(value)]);
  return new Uint8Array([...head, ...rest]);
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await new Promise((go) => setTimeout(go, 5));
  assert.ok(condition(), "it did not come about within a second");
}

interface FrontendScene {
  readonly frontend: Frontend;
  readonly backend: { isSilent: boolean; say(bytes: Uint8Array): void };
  readonly socket: Fd;
  readonly lost: Error[];
  /** Asks as a backend does; the u64 of the answer. */
  ask(request: number, body: Uint8Array, fds?: Fd[]): Promise<bigint>;
}

async function withFrontend(
  body: (scene: FrontendScene) => Promise<void>,
  replyTimeoutMs = 5000,
): Promise<void> {
  using reactor = new Reactor();
  const [ours, theirs] = socketPair();
  const options = { protocolFeatures: FEATURES, sharedMemory: [0n, 96n * GIB, 0n] };
  const script = () => silence.isSilent ? [] : undefined;
  using scripted = new ScriptedBackend(theirs, reactor, options, script);
  const silence = { isSilent: false, say: (bytes: Uint8Array) => scripted.say(bytes) };
  const lost: Error[] = [];
  using frontend = new Frontend(ours, reactor, {
    name: "wl",
    hasSharedMemory: true,
    replyTimeoutMs,
    startTimeoutMs: 5000,
    onDisconnect: (error) => lost.push(error),
  });
  const offer = await frontend.negotiate();
  assert.deepEqual(offer.sharedMemory, [0, 96 * 2 ** 30]);
  assert.equal(offer.protocolFeatures, FEATURES);
  const socket = scripted.requestSocket;
  assert.ok(socket !== undefined);
  const ask = async (request: number, body: Uint8Array, fds: Fd[] = []) => {
    sendMessage(socket, message(request, NEED_REPLY, body), fds);
    const answer = new Uint8Array(64);
    let length = 0;
    await until(() => {
      if (length <= 0) length = receiveMessage(socket, answer, 0, MessageFlags.DontWait).length;
      return length > 0;
    });
    assert.deepEqual(answer.subarray(0, 12), reply(request, u64(0n)).bytes.subarray(0, 12));
    assert.equal(length, 20);
    return new DataView(answer.buffer).getBigUint64(12, true);
  };
  await body({ frontend, backend: silence, socket, lost, ask });
}

Deno.test("a backend's wish for shared memory reaches who maps it, and is answered", async () => {
  await withFrontend(async ({ frontend, ask }) => {
    using memory = memfd("shared", 8192);
    const body = mapping([1, 4096n, 5n << 32n, 8192n, 1n]);
    assert.equal(await ask(MAP, body, [memory]), 1n, "nobody maps yet");

    const wishes: unknown[] = [];
    let obeys = true;
    frontend.sharedMemory = {
      map(request: SharedMemoryRequest, fd: Fd) {
        wishes.push(request, fd.closed);
        return Promise.resolve(obeys);
      },
      unmap(...wish) {
        wishes.push(wish);
        return Promise.resolve(obeys);
      },
    };
    assert.equal(await ask(MAP, body, [memory]), 0n);
    const region = 1, offset = 5 * 2 ** 32, fdOffset = 4096, length = 8192;
    assert.deepEqual(wishes, [{ region, offset, fdOffset, length, writable: true }, false]);
    assert.equal(await ask(UNMAP, mapping([1, 0n, 5n << 32n, 8192n, 0n])), 0n);
    assert.deepEqual(wishes.slice(2), [[1, offset, length]]);

    obeys = false;
    assert.equal(await ask(MAP, mapping([1, 0n, 0n, 4096n, 0n]), [memory]), 1n);
    assert.equal((wishes[3] as SharedMemoryRequest).writable, false);
    assert.equal(await ask(MAP, mapping([1, 0n, 0n, 4096n, 2n]), [memory]), 1n, "unknown flags");
    assert.equal(wishes.length, 5);
  });
});

Deno.test("while a wish takes its time the next one waits, and the backend may be silent", async () => {
  await withFrontend(async ({ frontend, backend, ask, socket, lost }) => {
    using memory = memfd("shared", 8192);
    const wishes: { region: number; go: (done: boolean) => void }[] = [];
    frontend.sharedMemory = {
      map({ region }) {
        const { promise, resolve } = Promise.withResolvers<boolean>();
        wishes.push({ region, go: resolve });
        return promise;
      },
      unmap: () => Promise.resolve(true),
    };
    const answers = [0, 1].map((region) =>
      ask(MAP, mapping([region, 0n, 0n, 8192n, 1n]), [memory])
    );
    await until(() => wishes.length > 0);
    backend.isSilent = true;
    const asked = frontend.start({ features: 0n, memory: [], queues: [] });
    await new Promise((resolve) => setTimeout(resolve, 2.5 * REPLY_TIMEOUT_MS));
    assert.deepEqual([wishes.length, lost.length], [1, 0]);
    backend.isSilent = false;
    backend.say(reply(2, u64(0n)).bytes);
    await asked;
    wishes[0].go(true);
    await until(() => wishes.length > 1);
    assert.equal(await Promise.any(answers), 0n);
    // Whoever hangs up meanwhile is served to the end, and nobody else is disturbed.
    (socket as Fd & Disposable)[Symbol.dispose]();
    wishes[1].go(false);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual([wishes.map(({ region }) => region), lost.length], [[0, 1], 0]);
    // Silence without such a reason is what it always was.
    backend.isSilent = true;
    await assert.rejects(frontend.start({ features: 0n, memory: [], queues: [] }), BackendAway);
  }, REPLY_TIMEOUT_MS);
});

const lies: [string, Uint8Array, number, ProtocolError["violation"]][] = [
  ["without memory", message(MAP, 1, mapping([0, 0n, 0n, 4096n, 1n])), 0, "descriptors"],
  ["with two memories", message(MAP, 1, mapping([0, 0n, 0n, 4096n, 1n])), 2, "descriptors"],
  ["with memory to unmap", message(UNMAP, 1, mapping([0, 0n, 0n, 4096n, 1n])), 1, "descriptors"],
  ["of another size", message(MAP, 1, new Uint8Array(32)), 1, "wrong-size"],
  ["about a config space", message(2, 1, new Uint8Array(0)), 0, "unexpected"],
];

for (const [what, bytes, count, violation] of lies) {
  Deno.test(`a backend's wish ${what} breaks the connection`, async () => {
    await withFrontend(async ({ socket, lost }) => {
      using memory = memfd("shared", 4096);
      sendMessage(socket, bytes, Array<Fd>(count).fill(memory));
      await until(() => lost.length > 0);
      assert.ok(lost[0] instanceof ProtocolError);
      assert.equal(lost[0].violation, violation);
    });
  });
}

class SharingDevice implements VirtioDevice {
  readonly id = DeviceId.Wl;
  readonly features = 0n;
  readonly queueCount = 2;
  readonly config = new Uint8Array(0);
  readonly sharedMemory = [2 ** 37, 4096];
  mapper: SharedMemoryMapper | undefined;
  attach(mapper: SharedMemoryMapper | undefined): void {
    this.mapper = mapper;
  }
  process(): void {}
}

interface BackendScene {
  readonly device: SharingDevice;
  readonly frontend: RawFrontend;
  readonly log: string[];
  /** The frontend's end for requests. */
  readonly socket: Fd;
}

function answer(frontend: RawFrontend): Uint8Array {
  const reply = frontend.reply();
  assert.ok(reply !== undefined);
  return reply.payload;
}

function withBackend(protocol: bigint, body: (scene: BackendScene) => void): void {
  const device = new SharingDevice();
  const log: string[] = [];
  const [ours, theirs] = socketPair();
  using poller = new Poller();
  using backend = new Backend(theirs, device, {
    window,
    poller,
    kickTag: 1,
    link: localLink,
    log: (text) => log.push(text),
  });
  using frontend = new RawFrontend(ours, () => backend.receive());
  const [socket, theirEnd] = socketPair();
  using _socket = socket, _given = theirEnd;
  frontend.send(15);
  const offered = new DataView(answer(frontend).buffer).getBigUint64(0, true);
  assert.equal(offered & FEATURES, FEATURES);
  frontend.send(16, u64(protocol));
  if (protocol & ProtocolFeature.BackendReq) frontend.send(21, new Uint8Array(0), [theirEnd]);
  frontend.send(2, u64(1n << 32n | 1n << 30n));
  body({ device, frontend, log, socket });
}

Deno.test("a device maps and unmaps what its driver is to see", () => {
  withBackend(FEATURES, ({ device, frontend, socket, log }) => {
    frontend.send(44);
    const payload = answer(frontend);
    const sizes = [u64(1n << 37n), u64(4096n), new Uint8Array(254 * 8)];
    assert.deepEqual(payload, new Uint8Array([u32(2), u32(0), ...sizes].flatMap((x) => [...x])));

    using memory = memfd("shared", 8192);
    const said = (request: number, size: number) => {
      const bytes = new Uint8Array(100);
      const { length, fds } = receiveMessage(socket, bytes, 4);
      for (const fd of fds) fd[Symbol.dispose]();
      assert.deepEqual(
        bytes.subarray(0, 12),
        message(request, NEED_REPLY, bytes.subarray(0, 40)).subarray(0, 12),
      );
      assert.equal(length, 12 + size);
      return { body: bytes.slice(12, length), count: fds.length };
    };
    // The answer is there before the question: nobody else runs while the device waits.
    sendMessage(socket, reply(MAP, u64(0n)).bytes);
    const what = { fdOffset: 4096, length: 4096, writable: true };
    assert.equal(device.mapper?.map(1, 2 ** 33, memory, what), true);
    const asked = mapping([1, 4096n, 1n << 33n, 4096n, 1n]);
    assert.deepEqual(said(MAP, 40), { body: asked, count: 1 });

    sendMessage(socket, reply(UNMAP, u64(1n)).bytes);
    assert.equal(device.mapper?.unmap(1, 2 ** 33, 4096), false);
    assert.deepEqual(said(UNMAP, 40), { body: mapping([1, 0n, 1n << 33n, 4096n, 0n]), count: 0 });
    assert.deepEqual(log, []);
  });
});

const wrong: [string, Uint8Array][] = [
  ["another message", reply(UNMAP, u64(0n)).bytes],
  ["no answer", message(MAP, 1, u64(0n))],
  ["too short", reply(MAP, u32(0)).bytes],
];

for (const [what, bytes] of wrong) {
  Deno.test(`a frontend whose answer is ${what} is asked no more`, () => {
    withBackend(FEATURES, ({ device, socket, log }) => {
      using memory = memfd("shared", 4096);
      sendMessage(socket, bytes);
      const fields = { fdOffset: 0, length: 4096, writable: true };
      assert.equal(device.mapper?.map(0, 0, memory, fields), false);
      assert.equal(log.length, 1);
      sendMessage(socket, reply(MAP, u64(0n)).bytes);
      assert.equal(device.mapper?.map(0, 0, memory, fields), false);
      assert.equal(log.length, 1);
    });
  });
}

Deno.test("a frontend that hangs up or acknowledges nothing maps nothing", () => {
  withBackend(FEATURES & ~ProtocolFeature.ReplyAck, ({ device }) => {
    assert.equal(device.mapper, undefined);
  });
  withBackend(FEATURES, ({ device, socket }) => {
    using memory = memfd("shared", 4096);
    (socket as Fd & Disposable)[Symbol.dispose]();
    const what = { fdOffset: 0, length: 4096, writable: true };
    assert.equal(device.mapper?.map(0, 0, memory, what), false);
    assert.equal(device.mapper?.unmap(0, 0, 4096), false);
  });
});
