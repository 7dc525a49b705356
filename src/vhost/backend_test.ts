import assert from "node:assert/strict";
import {
  EventFd,
  type Fd,
  leakedDescriptors,
  memfd,
  openFile,
  type Owned,
  trackDescriptors,
} from "../os/mod.ts";
import { Feature } from "../virtio/mod.ts";
import { MEMORY, roundTrip, running, Scene, USER, window } from "./backend_scene.ts";
import {
  ConfigHeader,
  FrontendMessage as Message,
  HeaderFlags,
  Inflight,
  MemoryTable,
  memoryTableSize,
  ProtocolFeature,
  SingleMemoryRegion,
  TransportFeature,
  U64,
  VringAddr,
  VringState,
} from "./mod.ts";
import type { RawFrontend } from "./raw_frontend.ts";

Deno.test("a queue is set up, kicked, answered, signalled, and all is given back at the end", () => {
  trackDescriptors();
  {
    const { scene, driver } = running();
    using _scene = scene;
    assert.equal(
      scene.device.started,
      Feature.Version1 | Feature.EventIdx | Feature.IndirectDesc | 0x20n,
    );
    roundTrip(scene, driver);
    assert.equal(scene.call.drain(), 1);
    assert.deepEqual(scene.log, []);
  }
  assert.deepEqual(leakedDescriptors(), []);
  trackDescriptors(false);
});

Deno.test("what is offered", () => {
  using scene = new Scene();
  const { frontend } = scene;
  const features = frontend.ask(Message.GetFeatures);
  const bits = [1n << 28n, 1n << 29n, 1n << 32n, TransportFeature.ProtocolFeatures, 0x20n];
  assert.equal(features, bits.reduce((sum, bit) => sum | bit, 0n));
  // MQ, REPLY_ACK, BACKEND_REQ, CONFIG, INFLIGHT_SHMFD, RESET_DEVICE, CONFIGURE_MEM_SLOTS by their numbers.
  const protocol = [0, 3, 5, 9, 12, 13, 15].reduce((sum, bit) => sum | 1n << BigInt(bit), 0n);
  assert.equal(frontend.ask(Message.GetProtocolFeatures), protocol);
  assert.equal(frontend.ask(Message.GetQueueNum), 2n);
  assert.equal(frontend.ask(Message.GetMaxMemSlots), 8200n);
});

Deno.test("stopping ends what is under way first, and answers where to go on", () => {
  const { scene, driver } = running();
  using _scene = scene;
  scene.device.hold = true;
  driver.add([new Uint8Array([1]), 1]);
  driver.add([new Uint8Array([1]), 1]);
  scene.work();
  assert.equal(driver.usedIndex, 0);
  scene.frontend.send(Message.GetVringBase, VringState.encode({ index: 0 }));
  const reply = scene.frontend.reply();
  assert.deepEqual(VringState.decode(reply?.payload ?? new Uint8Array(8)), { index: 0, num: 2 });
  assert.equal(driver.usedIndex, 2);
  assert.equal(scene.call.drain(), 1);
  driver.add([new Uint8Array([1]), 1]);
  scene.work();
  assert.equal(driver.usedIndex, 2);
  scene.device.hold = false;
  scene.queue(driver, 0, 2);
  scene.work();
  assert.equal(driver.usedIndex, 3);
});

Deno.test("what a device has ended is seen before the wait for it", () => {
  const { scene, driver } = running();
  using _scene = scene;
  const { device } = scene;
  let looks = 0;
  device.hold = true;
  device.hasNews = () => {
    if (++looks !== 3) return false;
    device.hold = false;
    return true;
  };
  driver.add([new Uint8Array([1]), 1]);
  scene.work();
  assert.ok(looks >= 3);
  assert.equal(driver.usedIndex, 1);
  assert.equal(scene.call.drain(), 1);
});

Deno.test("a queue is signalled whose chain ends while another is processed", () => {
  const { scene } = running();
  using _scene = scene;
  using call = EventFd.create();
  const other = scene.driver(1);
  scene.queue(other, 1, 0, call);
  scene.device.hold = true;
  other.add([new Uint8Array([1]), 1]);
  scene.work();
  assert.equal(call.drain(), 0);
  scene.device.hold = false;
  scene.backend.kicked(0);
  scene.backend.run();
  assert.equal(other.usedIndex, 1);
  assert.equal(call.drain(), 1);
});

Deno.test("a memory table may have room to spare, but not too little", () => {
  using scene = new Scene();
  scene.negotiate();
  const region = { guestAddress: 0, size: MEMORY, userAddress: USER, mmapOffset: 0 };
  const table = MemoryTable.encode({ count: 1, regions: [region] });
  const say = (size: number) =>
    scene.frontend.confirm(Message.SetMemTable, table.subarray(0, size), [
      scene.memory.regions[0].fd,
    ]);
  assert.equal(say(memoryTableSize(2)), true);
  assert.equal(say(memoryTableSize(1) - 1), undefined);
  assert.equal(scene.isOpen, false);
});

Deno.test("a disabled queue rests; without protocol features it runs when it is kicked", () => {
  using scene = new Scene();
  scene.negotiate();
  scene.memoryTable();
  const driver = scene.driver();
  scene.queue(driver);
  scene.frontend.confirm(Message.SetVringEnable, VringState.encode({ index: 0, num: 0 }));
  driver.add([new Uint8Array([1]), 1]);
  scene.work();
  assert.equal(driver.usedIndex, 0);
  scene.frontend.confirm(Message.SetFeatures, U64.encode({ value: Feature.Version1 }));
  scene.work();
  assert.equal(driver.usedIndex, 1);
});

Deno.test("queues go on when memory is replaced under them", () => {
  const { scene, driver } = running();
  using _scene = scene;
  roundTrip(scene, driver);
  assert.equal(scene.memoryTable(), true);
  roundTrip(scene, driver);
});

Deno.test("agreeing on acknowledgements is acknowledged", () => {
  using scene = new Scene();
  const agree = (features: bigint) =>
    scene.frontend.confirm(Message.SetProtocolFeatures, U64.encode({ value: features }));
  assert.equal(agree(ProtocolFeature.Mq), undefined);
  assert.equal(agree(ProtocolFeature.ReplyAck), true);
});

Deno.test("a reset takes queues away and leaves the connection", () => {
  const { scene, driver } = running();
  using _scene = scene;
  assert.equal(scene.frontend.confirm(Message.ResetDevice), true);
  driver.add([new Uint8Array([1]), 1]);
  scene.work();
  assert.equal(driver.usedIndex, 0);
  scene.negotiate();
  scene.memoryTable();
  scene.queue(driver);
  scene.work();
  assert.equal(driver.usedIndex, 1);
});

Deno.test("the config space is read in any piece, and written where the device lets it", () => {
  using scene = new Scene();
  scene.negotiate(ProtocolFeature.ReplyAck | ProtocolFeature.Config);
  const read = (offset: number, size: number) => {
    const payload = new Uint8Array(ConfigHeader.size + size);
    payload.set(ConfigHeader.encode({ offset, size }));
    scene.frontend.send(Message.GetConfig, payload);
    return scene.frontend.reply()?.payload ?? new Uint8Array(0);
  };
  assert.deepEqual([...read(2, 4).subarray(12)], [3, 4, 5, 6]);
  assert.equal(read(0, 60).length, 72);
  assert.deepEqual([...read(6, 4).subarray(12)], [7, 8, 0, 0]);
  assert.equal(read(250, 10).length, 0);
  const write = (offset: number, ...bytes: number[]) => {
    const head = ConfigHeader.encode({ offset, size: bytes.length });
    return scene.frontend.confirm(Message.SetConfig, new Uint8Array([...head, ...bytes]));
  };
  assert.equal(write(3, 99), true);
  assert.equal(scene.device.config[3], 99);
  assert.equal(write(4, 99), false);
  assert.equal(write(6, 1, 2, 3), false);
});

Deno.test("in-flight notes: a successor does again what was not completed", () => {
  const notes = new DisposableStack();
  const [memory, driver, fd, shape] = (() => {
    const { scene, driver } = running();
    const request = Inflight.encode({ queueCount: 1, queueSize: 8 });
    scene.frontend.send(Message.GetInflightFd, request);
    const reply = scene.frontend.reply();
    assert(reply !== undefined);
    const fd = notes.use(reply.fds[0]);
    assert.equal(scene.frontend.confirm(Message.SetInflightFd, reply.payload, [fd]), true);
    scene.device.hold = true;
    driver.add([new Uint8Array([1]), 1]);
    driver.add([new Uint8Array([2]), 1]);
    scene.work();
    // Its process is killed: nothing of it happens any more.
    scene.device.held.length = 0;
    const memory = notes.use(memfdCopyOf(scene));
    return [memory, driver, fd, reply.payload] as const;
  })();
  using scene = new Scene();
  scene.negotiate();
  window.mapFd(scene.memory.ramBase, MEMORY, memory, 0);
  assert.equal(scene.memoryTable([memory]), true);
  assert.equal(scene.frontend.confirm(Message.SetInflightFd, shape, [fd]), true);
  // Stopped before it was ever kicked.
  scene.queue(driver, 0, 0);
  scene.frontend.send(Message.GetVringBase, VringState.encode({ index: 0 }));
  const reply = scene.frontend.reply();
  assert.equal(VringState.decode(reply?.payload ?? new Uint8Array(8)).num, 2);
  const used = new DataView(window.buffer, scene.memory.ramBase + driver.used);
  assert.equal(used.getUint16(2, true), 2);
  notes[Symbol.dispose]();
});

/** What was in guest memory when a backend died. */
function memfdCopyOf(scene: Scene): Owned<Fd> {
  const fd = memfd("copy", MEMORY);
  const offset = window.allocate(MEMORY);
  window.mapFd(offset, MEMORY, fd, 0);
  window.bytes(offset, MEMORY).set(window.bytes(scene.memory.ramBase, MEMORY));
  window.free(offset, MEMORY);
  return fd;
}

Deno.test("memory that is not there is refused, and what was there stays", () => {
  const { scene, driver } = running();
  using _scene = scene;
  const { frontend } = scene;
  const fd = scene.memory.regions[0].fd;
  type Region = { guestAddress: number; size: number; userAddress: number; mmapOffset: number };
  const good = { guestAddress: 0, size: MEMORY, userAddress: USER, mmapOffset: 0 };
  const set = (...regions: Region[]) => {
    const table = MemoryTable.encode({ count: regions.length, regions });
    const payload = table.subarray(0, memoryTableSize(regions.length));
    return frontend.confirm(Message.SetMemTable, payload, regions.map(() => fd));
  };
  assert.equal(set({ ...good, size: MEMORY + 1 }), false);
  assert.equal(set({ ...good, mmapOffset: 4096 }), false);
  assert.equal(set({ ...good, mmapOffset: 2 ** 52 }), false);
  assert.equal(set({ ...good, size: 0 }), false);
  assert.equal(set({ ...good, guestAddress: 2 ** 53 - 4096 }), false);
  assert.equal(set(good, { ...good, userAddress: 0 }), false);
  assert.equal(set(good, { ...good, guestAddress: MEMORY }), false);
  roundTrip(scene, driver);
  using file = openFile("/dev/null", { write: true });
  assert.equal(scene.memoryTable([file]), false);
  roundTrip(scene, driver);
  // Pieces of one memory, out of order.
  const half = MEMORY / 2;
  assert.equal(
    set(
      { ...good, guestAddress: half, size: half, userAddress: USER + half, mmapOffset: half },
      { ...good, size: half },
    ),
    true,
  );
  roundTrip(scene, driver);
});

Deno.test("memory comes and goes in slots", () => {
  using scene = new Scene();
  scene.negotiate();
  const region = { guestAddress: 0, size: MEMORY, userAddress: USER, mmapOffset: 0 };
  const payload = SingleMemoryRegion.encode({ region });
  const fd = scene.memory.regions[0].fd;
  const { frontend } = scene;
  assert.equal(frontend.confirm(Message.RemMemReg, payload), false);
  assert.equal(frontend.confirm(Message.AddMemReg, payload, [fd]), true);
  using other = memfd("other", MEMORY);
  assert.equal(frontend.confirm(Message.AddMemReg, payload, [other]), false);
  const driver = scene.driver();
  scene.queue(driver);
  roundTrip(scene, driver);
  assert.equal(frontend.confirm(Message.RemMemReg, payload, [fd]), true);
  driver.add([new Uint8Array([1]), 1]);
  scene.work();
  assert.equal(driver.usedIndex, 1);
});

Deno.test("rings outside of memory or off their alignment are refused", () => {
  const { scene, driver } = running();
  using _scene = scene;
  const good = {
    index: 0,
    descriptor: USER + driver.desc,
    available: USER + driver.avail,
    used: USER + driver.used,
  };
  const bad = [
    { ...good, descriptor: USER + driver.desc + 8 },
    { ...good, available: USER + driver.avail + 1 },
    { ...good, used: USER + driver.used + 2 },
    { ...good, used: USER + MEMORY - 8 },
    { ...good, descriptor: 0 },
    { ...good, available: 2 ** 63 },
    { ...good, flags: 1 },
  ];
  for (const address of bad) {
    assert.equal(scene.frontend.confirm(Message.SetVringAddr, VringAddr.encode(address)), false);
  }
  roundTrip(scene, driver);
});

Deno.test("a queue that its driver breaks is told of once, others go on", () => {
  const { scene, driver } = running();
  using _scene = scene;
  using err = EventFd.create();
  scene.frontend.confirm(Message.SetVringErr, U64.encode({ value: 0n }), [err.fd]);
  const other = scene.driver(1);
  scene.queue(other, 1);
  driver.makeAvailable(77);
  for (let i = 0; i < 3; i++) scene.work();
  assert.deepEqual(scene.log, [
    "queue 0: broken by its driver: it made a descriptor available that does not exist",
  ]);
  assert.equal(err.drain(), 1);
  scene.backend.wake();
  roundTrip(scene, other);
});

Deno.test("what breaks the protocol ends the connection", () => {
  const cases: [string, (frontend: RawFrontend) => boolean][] = [
    ["version", (f) => f.sendBytes(new Uint8Array([1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]))],
    ["reply", (f) => f.send(Message.GetFeatures, undefined, [], HeaderFlags.Reply)],
    ["size", (f) => f.send(Message.SetFeatures, new Uint8Array(4))],
    ["long", (f) => f.sendBytes(new Uint8Array([5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0]))],
    ["unknown", (f) => f.send(77)],
    ["table", (f) => f.send(Message.SetMemTable, new Uint8Array([3, 0, 0, 0, 0, 0, 0, 0]))],
    ["no fd", (f) => f.send(Message.SetVringKick, U64.encode({ value: 0n }))],
    ["queue", (f) => f.send(Message.SetVringNum, VringState.encode({ index: 2, num: 8 }))],
    ["features", (f) => f.send(Message.SetFeatures, U64.encode({ value: 1n << 60n }))],
    ["base", (f) => f.send(Message.GetVringBase, VringState.encode({ index: 99 }))],
  ];
  for (const [name, act] of cases) {
    using scene = new Scene();
    assert.equal(act(scene.frontend), false, name);
    assert.equal(scene.log.length, 1, name);
  }
});

Deno.test("with REPLY_ACK a frontend hears what was refused, and goes on", () => {
  using scene = new Scene();
  scene.negotiate();
  const { frontend } = scene;
  assert.equal(frontend.confirm(77), false);
  assert.equal(frontend.confirm(Message.SetVringNum, VringState.encode({ num: 3 })), false);
  assert.equal(frontend.confirm(Message.SetVringBase, VringState.encode({ num: 65536 })), false);
  assert.equal(frontend.confirm(Message.SetVringEnable, VringState.encode({ num: 2 })), false);
  assert.equal(frontend.confirm(Message.SetVringKick, U64.encode({ value: 0x100n })), false);
  using file = openFile("/etc/passwd");
  assert.equal(frontend.confirm(Message.SetVringKick, U64.encode({ value: 0n }), [file]), false);
  assert.equal(
    frontend.confirm(Message.SetInflightFd, Inflight.encode({ mmapSize: 64 }), [file]),
    false,
  );
  assert.equal(frontend.confirm(Message.SetOwner), true);
  assert(scene.isOpen);
});

Deno.test("a frontend that asks and never listens is left", () => {
  using scene = new Scene();
  for (let i = 0; i < 100_000 && scene.isOpen; i++) scene.frontend.send(Message.GetFeatures);
  assert.equal(scene.isOpen, false);
});
