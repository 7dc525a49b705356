import assert from "node:assert/strict";
import fc from "fast-check";
import {
  addSeals,
  type Fd,
  leakedDescriptors,
  memfd,
  openFile,
  Reactor,
  Seal,
  socketPair,
  trackDescriptors,
} from "../os/mod.ts";
import { MEMORY, roundTrip, running, type Scene, window } from "./backend_scene.ts";
import {
  BackendAway,
  Frontend,
  FrontendMessage as Message,
  ProtocolFeature,
  type SharedRegion,
  SingleMemoryRegion,
} from "./mod.ts";
import { reply, ScriptedBackend, type ScriptedOptions, u64 } from "./scripted_backend.ts";

const PAGE = 4096;
/** Where a BAR of another device may be, and what the frontend calls that. */
const BAR = 2 ** 40;
const BAR_USER = 0x7f55_0000_0000;

interface Announced {
  readonly at: number;
  readonly size?: number;
  readonly offset?: number;
}

function announcement({ at, size = PAGE, offset = 0 }: Announced): Uint8Array {
  return SingleMemoryRegion.encode({
    region: { guestAddress: BAR + at, size, userAddress: BAR_USER + at, mmapOffset: offset },
  });
}

const add = (scene: Scene, fd: Fd, what: Announced) =>
  scene.frontend.confirm(Message.AddMemReg, announcement(what), [fd]);
const remove = (scene: Scene, what: Announced) =>
  scene.frontend.confirm(Message.RemMemReg, announcement(what));

function withBytes<T>(fd: Fd, use: (bytes: Uint8Array) => T): T {
  const offset = window.allocate(2 * PAGE);
  try {
    window.mapFd(offset, 2 * PAGE, fd, 0, { write: false });
    return use(window.bytes(offset, 2 * PAGE));
  } finally {
    window.free(offset, 2 * PAGE);
  }
}

/** Memory of one byte value, which is sealed against writing if that is wanted. */
function filled(value: number, readonly = false) {
  const fd = memfd("added", 2 * PAGE, { seal: false });
  const offset = window.allocate(2 * PAGE);
  window.mapFd(offset, 2 * PAGE, fd, 0);
  window.bytes(offset, 2 * PAGE).fill(value);
  window.free(offset, 2 * PAGE);
  addSeals(fd, readonly ? Seal.Shrink | Seal.Write : Seal.Shrink);
  return fd;
}

Deno.test("queues go on while memory comes, and what they have in hand is done before it goes", () => {
  const { scene, driver } = running();
  using _scene = scene;
  using fd = filled(6);
  scene.device.hold = true;
  driver.add([new Uint8Array([41]), 4]);
  scene.work();
  const { settles } = scene.device;
  assert.equal(add(scene, fd, { at: 0 }), true);
  assert.equal(scene.device.settles, settles, "nothing stops for it");
  // Reads the added memory and writes into it: 6 comes in, 7 goes out.
  driver.add([
    { address: BAR, length: 1, writable: false },
    { address: BAR + 9, length: 5, writable: true },
  ]);
  scene.work();
  assert.equal(scene.device.held.length, 2);
  assert.equal(remove(scene, { at: 0 }), true);
  assert.deepEqual(driver.takeUsed().map((used) => used.written), [4, 5]);
  withBytes(fd, (bytes) => {
    assert.deepEqual([...bytes.subarray(8, 15)], [6, 7, 7, 7, 7, 7, 6]);
  });
  scene.device.hold = false;
  roundTrip(scene, driver);
  assert.equal(remove(scene, { at: 0 }), false);
});

Deno.test("memory that is only to be read can be, and to write to it breaks that queue", () => {
  using fd = filled(6, true);
  const path = Deno.makeTempFileSync();
  Deno.writeFileSync(path, new Uint8Array(2 * PAGE).fill(1));
  using writable = openFile(path, { write: true });
  using readable = openFile(path);
  Deno.removeSync(path);
  for (const memory of [fd, readable]) {
    const { scene, driver } = running();
    using _scene = scene;
    // The same memory, known to be writable already, does not become that by another descriptor.
    assert.equal(add(scene, writable, { at: 16 * PAGE }), true);
    assert.equal(add(scene, memory, { at: 0 }), true);
    const { addresses } = driver.add([{ address: BAR, length: 1, writable: false }, 1]);
    scene.work();
    assert.equal(driver.bytes[addresses[1]], memory === fd ? 7 : 2);
    driver.takeUsed();
    driver.add([new Uint8Array([1]), { address: BAR, length: 4, writable: true }]);
    scene.work();
    assert.deepEqual(driver.takeUsed(), []);
    assert.deepEqual(scene.log, ["queue 0: broken by its driver: a buffer is not in guest memory"]);
  }
});

Deno.test("the same memory may be added several times, and is there until it is removed as often", () => {
  const { scene, driver } = running();
  using _scene = scene;
  using fd = filled(6);
  using other = filled(7);
  assert.equal(add(scene, fd, { at: 0 }), true);
  assert.equal(add(scene, fd, { at: 0 }), true);
  assert.equal(add(scene, other, { at: 0 }), false, "another memory at that place");
  assert.equal(remove(scene, { at: 0 }), true);
  const { addresses } = driver.add([{ address: BAR, length: 1, writable: false }, 1]);
  scene.work();
  assert.equal(driver.bytes[addresses[1]], 7);
  assert.equal(remove(scene, { at: 0 }), true);
  assert.equal(remove(scene, { at: 0 }), false);
});

Deno.test("the last page of memory of any size counts whole, and nothing after it", () => {
  const { scene, driver } = running();
  using _scene = scene;
  using fd = memfd("odd", PAGE + 17);
  assert.equal(add(scene, fd, { at: 0, size: 3 * PAGE }), false);
  assert.equal(add(scene, fd, { at: 0, size: 2 * PAGE }), true);
  driver.add([new Uint8Array([5]), { address: BAR + 2 * PAGE - 1, length: 1, writable: true }]);
  scene.work();
  assert.deepEqual(driver.takeUsed().map(({ written }) => written), [1]);
});

Deno.test("a queue that its driver broke stays so when memory changes", () => {
  const { scene, driver } = running();
  using _scene = scene;
  using fd = filled(1);
  driver.add([{ address: BAR, length: 1, writable: false }, 1]);
  scene.work();
  for (let i = 0; i < 3; i++) {
    assert.equal(add(scene, fd, { at: 0 }), true);
    assert.equal(remove(scene, { at: 0 }), true);
    scene.backend.wake();
    scene.work();
  }
  assert.deepEqual(scene.log, ["queue 0: broken by its driver: a buffer is not in guest memory"]);
  assert.equal(driver.usedIndex, 0);
});

Deno.test("there are as many slots as was said", () => {
  const { scene, driver } = running();
  using _scene = scene;
  using fd = filled(1);
  const slots = Number(scene.frontend.ask(Message.GetMaxMemSlots));
  // One is the RAM's.
  for (let i = 1; i < slots; i++) assert.equal(add(scene, fd, { at: 2 * i * PAGE }), true);
  assert.equal(add(scene, fd, { at: 0 }), false);
  const at = 2 * (slots - 1) * PAGE;
  driver.add([{ address: BAR + at, length: 1, writable: false }, 1]);
  scene.work();
  assert.equal(driver.takeUsed().length, 1);
  assert.equal(remove(scene, { at }), true);
  assert.equal(add(scene, fd, { at: 0 }), true);
  assert.equal(scene.log.length, 1);
});

Deno.test("under load every request finds the memory that there is, whatever else comes and goes", () => {
  trackDescriptors();
  const step = fc.record({
    place: fc.nat(5),
    offset: fc.constantFrom(0, PAGE),
    hold: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
      const { scene, driver } = running();
      using _scene = scene;
      using stack = new DisposableStack();
      const memories = Array.from({ length: 6 }, (_, i) => stack.use(filled(10 * i)));
      const there = new Map<number, Announced>();
      /** Where answers will be, and what they are. */
      const asked: { answer: number; value: number }[] = [];
      const check = () => {
        for (const { written } of driver.takeUsed()) {
          const { answer, value } = asked.shift() ?? assert.fail();
          assert.deepEqual([written, driver.bytes[answer]], [3, value]);
        }
      };
      for (const { place, offset, hold } of steps) {
        const known = there.get(place);
        const what = { at: 8 * PAGE * place, offset };
        if (known === undefined) {
          assert.equal(add(scene, memories[place], what), true);
          there.set(place, what);
        } else {
          assert.equal(remove(scene, known), true);
          there.delete(place);
        }
        check();
        scene.device.hold = hold;
        for (const [place, { at }] of there) {
          if (asked.length === 4) break;
          const { addresses } = driver.add([{ address: BAR + at, length: 1, writable: false }, 3]);
          asked.push({ answer: addresses[1], value: 10 * place + 1 });
        }
        scene.work();
        check();
      }
      scene.device.settle();
      check();
      assert.deepEqual([asked, scene.log], [[], []]);
    }),
    { numRuns: 100 },
  );
  assert.deepEqual(leakedDescriptors(), []);
  trackDescriptors(false);
});

const FEATURES = ProtocolFeature.ReplyAck | ProtocolFeature.ConfigureMemSlots;

interface FrontendScene {
  readonly frontend: Frontend;
  readonly backend: ScriptedBackend;
  readonly refusals: string[];
  readonly lost: Error[];
  /** What the backend is to say to the next messages of a kind, instead of yes. */
  readonly say: Map<number, bigint | "nothing">;
}

async function withFrontend(
  body: (scene: FrontendScene) => Promise<void>,
  slots = 3n,
  given: ScriptedOptions = {},
): Promise<void> {
  trackDescriptors();
  {
    using reactor = new Reactor();
    const [ours, theirs] = socketPair();
    const say = new Map<number, bigint | "nothing">([[36, slots]]);
    const options = { protocolFeatures: FEATURES, ...given };
    using backend = new ScriptedBackend(theirs, reactor, options, ({ request }) => {
      const value = say.get(request);
      if (value === undefined) return undefined;
      return value === "nothing" ? [] : [reply(request, u64(value))];
    });
    const lost: Error[] = [];
    using frontend = new Frontend(ours, reactor, {
      name: "disk0",
      addsMemory: true,
      replyTimeoutMs: 1000,
      onDisconnect: (error) => lost.push(error),
    });
    const refusals: string[] = [];
    frontend.onMemoryRefused = (reason) => refusals.push(reason);
    await body({ frontend, backend, refusals, lost, say });
  }
  // A reactor closes when the thread that waits for it has returned.
  for (let i = 0; i < 250 && leakedDescriptors().length > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.deepEqual(leakedDescriptors(), []);
  trackDescriptors(false);
}

const ram = (fd: Fd): SharedRegion => ({ guestAddress: 0, size: MEMORY, userAddress: 1 << 30, fd });
const region = (fd: Fd, page: number): SharedRegion => ({
  guestAddress: BAR + page * PAGE,
  size: PAGE,
  userAddress: BAR_USER + page * PAGE,
  fd,
  fdOffset: 2 * PAGE,
});
const start = (fd: Fd, added: SharedRegion[] = []) => (
  { features: 1n << 32n, memory: [ram(fd)], queues: [], added: () => added }
);

Deno.test("a backend is told of memory from its start on, in the specification's bytes", async () => {
  await withFrontend(async ({ frontend, backend, refusals }) => {
    using fd = memfd("ram", MEMORY);
    assert.equal((await frontend.negotiate()).memorySlots, 3);
    const first = region(fd, 0), second = region(fd, 1);
    await frontend.addMemory(second);
    await frontend.removeMemory(second);
    assert.ok(!backend.order.includes(37), "before the start there is nothing to add to");
    const added = [first];
    const starting = frontend.start(start(fd, added));
    // Comes while the start is under way.
    added.push(second);
    await starting;
    assert.deepEqual(backend.order.slice(-4), [2, 5, 37, 37]);
    const { payload, flags, fds } = backend.heard.at(-1) ?? assert.fail();
    const words = [0n, BigInt(BAR + PAGE), 4096n, BigInt(BAR_USER + PAGE), 8192n];
    assert.deepEqual(payload, new Uint8Array(words.flatMap((word) => [...u64(word)])));
    assert.deepEqual([flags, fds.length], [9, 1]);

    const third = region(fd, 2);
    await frontend.addMemory(third);
    assert.deepEqual(refusals, ["it takes no more memory regions"]);
    await frontend.removeMemory(third);
    await frontend.removeMemory(first);
    await frontend.addMemory(third);
    assert.deepEqual(backend.order.slice(-2), [38, 37]);
    const removed = backend.heard.at(-2) ?? assert.fail();
    assert.deepEqual([removed.payload.length, removed.flags, removed.fds.length], [40, 9, 0]);

    // The next start begins with what there is then.
    await frontend.stop();
    await frontend.start(start(fd, [third]));
    assert.deepEqual(backend.order.slice(-3), [2, 5, 37]);
    assert.equal(refusals.length, 1);
  });
});

Deno.test("a backend that refuses memory goes on without it", async () => {
  await withFrontend(async ({ frontend, backend, refusals, lost, say }) => {
    using fd = memfd("ram", MEMORY);
    await frontend.negotiate();
    say.set(37, 1n);
    await frontend.start(start(fd, [region(fd, 0)]));
    const more = region(fd, 1);
    await frontend.addMemory(more);
    assert.equal(refusals.length, 2);
    await frontend.removeMemory(more);
    assert.ok(!backend.order.includes(38), "it does not have it");
    say.delete(37);
    say.set(38, 1n);
    await frontend.addMemory(more);
    await frontend.removeMemory(more);
    assert.ok(backend.order.includes(38));
    assert.deepEqual([refusals.length, lost.length], [2, 0]);
  });
});

Deno.test("a backend that does not answer to memory is away", async () => {
  await withFrontend(async ({ frontend, lost, say }) => {
    using fd = memfd("ram", MEMORY);
    await frontend.negotiate();
    await frontend.start(start(fd));
    say.set(37, "nothing");
    await assert.rejects(frontend.addMemory(region(fd, 0)), BackendAway);
    assert.equal(lost.length, 1);
    await assert.rejects(frontend.removeMemory(region(fd, 0)), BackendAway);
  });
});

Deno.test("backends that cannot be told are not, and slots are no more than anybody needs", async () => {
  for (const protocolFeatures of [ProtocolFeature.ReplyAck, ProtocolFeature.ConfigureMemSlots]) {
    await withFrontend(
      async ({ frontend, backend, refusals }) => {
        using fd = memfd("ram", MEMORY);
        assert.equal((await frontend.negotiate()).memorySlots, 0);
        await frontend.start(start(fd, [region(fd, 0)]));
        assert.ok(!backend.order.includes(36) && !backend.order.includes(37));
        assert.equal(refusals.length, 1);
      },
      3n,
      { protocolFeatures },
    );
  }
  await withFrontend(async ({ frontend }) => {
    assert.equal((await frontend.negotiate()).memorySlots, 2 ** 20);
  }, 2n ** 64n - 1n);
});
