import assert from "node:assert/strict";
import { MachineMemory } from "../../src/memory/mod.ts";
import {
  connectUnix,
  leakedDescriptors,
  memfd,
  PAGE_SIZE,
  Reactor,
  trackDescriptors,
  Window,
} from "../../src/os/mod.ts";
import {
  BackendAway,
  BackendDisconnected,
  Frontend,
  ProtocolFeature,
} from "../../src/vhost/mod.ts";
import { QemuStorageDaemon } from "./qemu_storage_daemon.ts";
import { DATA, TinyDriver, VERSION_1 } from "./tiny_driver.ts";

const SECTORS = 2048;

/** One window per process, and this is one. */
let window: Window | undefined;

/** An image of known content, a daemon that exports it, and a frontend connected to that. */
async function withDaemon(
  body: (scene: {
    frontend: Frontend;
    daemon: QemuStorageDaemon;
    reactor: Reactor;
    image: string;
    lost: Error[];
    refused: string[];
  }) => Promise<void>,
  queues = 2,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "spectrum-qsd-" });
  try {
    const image = `${folder}/disk.img`;
    const content = new Uint8Array(SECTORS * 512).map((_, i) => (i >> 9) + (i & 0xff));
    await Deno.writeFile(image, content);
    await using daemon = await QemuStorageDaemon.start(folder, image, queues);
    trackDescriptors();
    {
      using reactor = new Reactor();
      const lost: Error[] = [];
      using frontend = new Frontend(connectUnix(daemon.socket), reactor, {
        name: "disk0",
        configSize: 60,
        replyTimeoutMs: 1000,
        addsMemory: true,
        onDisconnect: (error) => lost.push(error),
      });
      const refused: string[] = [];
      frontend.onMemoryRefused = (reason) => refused.push(reason);
      await body({ frontend, daemon, reactor, image, lost, refused });
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(leakedDescriptors(), []);
    trackDescriptors(false);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const options = { ignore: !QemuStorageDaemon.available() };

Deno.test("qemu-storage-daemon: negotiation, capacity, queues", options, async () => {
  await withDaemon(async ({ frontend }) => {
    const offer = await frontend.negotiate();
    const config = new DataView(offer.config.slice().buffer);
    // struct virtio_blk_config, virtio 1.2 §5.2.4: capacity in sectors comes first, num_queues at 34.
    assert.equal(config.getBigUint64(0, true), BigInt(SECTORS));
    assert.equal(config.getUint16(34, true), 2);
    assert.equal(offer.queueCount, 2);
    assert.ok((offer.features & VERSION_1) !== 0n);
    assert.equal(offer.features & (1n << 30n), 0n);
    for (const feature of [ProtocolFeature.Config, ProtocolFeature.Mq, ProtocolFeature.ReplyAck]) {
      assert.ok((offer.protocolFeatures & feature) !== 0n);
    }
    // It has a log of dirty memory, which we do not want.
    assert.equal(offer.protocolFeatures & ProtocolFeature.LogShmfd, 0n);
  });
});

Deno.test("qemu-storage-daemon: reads, writes, stops and goes on", options, async () => {
  await withDaemon(async ({ frontend, reactor, image }) => {
    await frontend.negotiate();
    window ??= Window.reserve(2 ** 32);
    using memory = MachineMemory.create(window, 0x10_0000);
    using driver = new TinyDriver(memory, window.base, reactor);
    const start = (from: number) => frontend.start(driver.startOptions(from));
    await start(0);
    assert.equal(await driver.request(0, 3, 1024), 0);
    const content = await Deno.readFile(image);
    assert.deepEqual(memory.guest.read(DATA, 1024), content.slice(3 * 512, 5 * 512));

    const written = new Uint8Array(512).fill(0xa5);
    memory.guest.write(DATA, written);
    assert.equal(await driver.request(1, 100, 512), 0);
    assert.equal(await driver.request(4, 0, 0x200), 0, "flush");
    assert.deepEqual((await Deno.readFile(image)).slice(100 * 512, 101 * 512), written);
    // Past the end: VIRTIO_BLK_S_IOERR.
    assert.equal(await driver.request(0, SECTORS, 512), 1);

    const stopped = await frontend.stop();
    assert.deepEqual(stopped, [{ index: 0, base: driver.used }]);
    await start(stopped[0].base);
    assert.equal(await driver.request(0, 100, 512), 0);
    assert.deepEqual(memory.guest.read(DATA, 512), written);
    await frontend.stop();
  });
});

Deno.test(
  "qemu-storage-daemon: memory of another device, added while it works",
  options,
  async () => {
    await withDaemon(async ({ frontend, reactor, image, refused }) => {
      const { memorySlots } = await frontend.negotiate();
      assert.ok(memorySlots >= 8, `${memorySlots} slots`);
      window ??= Window.reserve(2 ** 32);
      using memory = MachineMemory.create(window, 0x10_0000);
      using driver = new TinyDriver(memory, window.base, reactor);
      const content = await Deno.readFile(image);
      using shared = memfd("shared", 3 * PAGE_SIZE);
      const at = window.allocate(2 * PAGE_SIZE);
      window.mapFd(at, 2 * PAGE_SIZE, shared, PAGE_SIZE);
      const region = (place: number) => ({
        guestAddress: 2 ** 40 + place * 2 ** 21,
        size: 2 * PAGE_SIZE,
        userAddress: (window?.base ?? 0) + at + place * 2 ** 21,
        fd: shared,
        fdOffset: PAGE_SIZE,
      });
      const read = (sector: number, place: number, offset: number) =>
        driver.request(0, sector, 1024, 2 ** 40 + place * 2 ** 21 + offset);
      const found = (offset: number) => window?.bytes(at + offset, 1024).slice();
      // Some before the start, some while it works.
      const first = region(0), second = region(1);
      await frontend.start({ ...driver.startOptions(0), added: () => [first] });
      assert.equal(await read(7, 0, 512), 0);
      assert.deepEqual(found(512), content.slice(7 * 512, 9 * 512));
      await frontend.addMemory(second);
      assert.equal(await read(20, 1, 4096), 0);
      assert.deepEqual(found(4096), content.slice(20 * 512, 22 * 512));
      window.bytes(at, 1024).fill(0x5a);
      assert.equal(await driver.request(1, 100, 1024, 2 ** 40 + 2 ** 21), 0);
      assert.equal(await driver.request(4, 0, 0x200), 0, "flush");
      const after = await Deno.readFile(image);
      assert.deepEqual(after.slice(100 * 512, 102 * 512), new Uint8Array(1024).fill(0x5a));

      await frontend.removeMemory(first);
      await frontend.removeMemory(second);
      for (let i = 1; i < memorySlots; i++) await frontend.addMemory(region(1 + i));
      assert.equal(await read(9, memorySlots, 0), 0);
      assert.deepEqual(found(0), content.slice(9 * 512, 11 * 512));
      assert.deepEqual(refused, []);
      await frontend.addMemory(first);
      assert.equal(refused.length, 1, "there is no slot left");
      await frontend.stop();
      window.free(at, 2 * PAGE_SIZE);
    });
  },
);

Deno.test(
  "qemu-storage-daemon: stopped it is away, killed it is disconnected",
  options,
  async () => {
    await withDaemon(async ({ frontend, daemon }) => {
      await frontend.negotiate();
      daemon.signal("SIGSTOP");
      await assert.rejects(frontend.readConfig(), BackendAway);
    });
    await withDaemon(async ({ frontend, daemon, lost }) => {
      await frontend.negotiate();
      await daemon[Symbol.asyncDispose]();
      await assert.rejects(frontend.readConfig(), BackendDisconnected);
      assert.equal(lost.length, 1);
    });
  },
);
