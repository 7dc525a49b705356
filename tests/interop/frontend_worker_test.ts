import assert from "node:assert/strict";
import { MachineMemory } from "../../src/memory/mod.ts";
import {
  connectUnix,
  leakedDescriptors,
  Reactor,
  trackDescriptors,
  Window,
} from "../../src/os/mod.ts";
import { BackendDisconnected, Frontend, ProtocolFeature } from "../../src/vhost/mod.ts";
import { DeviceProcess } from "./device_process.ts";
import { DATA, TinyDriver } from "./tiny_driver.ts";

const SECTORS = 64;

Deno.test("our frontend and our worker: all protocol features, a reset, a worker that dies", async () => {
  const folder = await Deno.makeTempDir({ prefix: "spectrum-worker-" });
  try {
    const image = `${folder}/disk.img`;
    const content = new Uint8Array(SECTORS * 512).map((_, i) => (i >> 9) * 3 + (i & 0xff));
    await Deno.writeFile(image, content);
    // With one request a second the second one waits, and comes without another kick.
    const words = ["--disk", image, "--iops", "1"];
    const launch = (name: string) => DeviceProcess.start("blk", `${folder}/${name}`, words);
    trackDescriptors();
    {
      await using first = await launch("first.sock");
      using reactor = new Reactor();
      const window = Window.reserve(2 ** 32);
      using memory = MachineMemory.create(window, 0x10_0000);
      using driver = new TinyDriver(memory, window.base, reactor);
      const lost = Promise.withResolvers<Error>();
      using frontend = new Frontend(connectUnix(first.socket), reactor, {
        name: "disk0",
        configSize: 60,
        onDisconnect: lost.resolve,
      });
      const offer = await frontend.negotiate();
      const all = ProtocolFeature.Mq | ProtocolFeature.ReplyAck | ProtocolFeature.Config |
        ProtocolFeature.BackendReq | ProtocolFeature.InflightShmfd | ProtocolFeature.ResetDevice;
      assert.equal(offer.protocolFeatures, all);
      assert.equal(new DataView(offer.config.slice().buffer).getUint32(0, true), SECTORS);

      await frontend.start(driver.startOptions(0));
      assert.equal(await driver.request(0, 3, 1024), 0);
      assert.deepEqual(memory.guest.read(DATA, 1024), content.slice(3 * 512, 5 * 512));
      const [{ base }] = await frontend.stop();
      assert.equal(base, 1);

      await frontend.start(driver.startOptions(base));
      assert.equal(await driver.request(0, 9, 512), 0);
      await first.kill();
      assert.ok(await lost.promise instanceof BackendDisconnected);
      // The guest goes on meanwhile: its request waits for the successor.
      const waiting = driver.request(0, 20, 512);
      using inflight = frontend.takeInflight();
      assert.ok(inflight !== undefined);

      await using second = await launch("second.sock");
      using successor = new Frontend(connectUnix(second.socket), reactor, {
        name: "disk0",
        configSize: 60,
      });
      await successor.negotiate();
      await successor.start({ ...driver.startOptions(driver.used), inflight });
      assert.equal(await waiting, 0);
      assert.deepEqual(memory.guest.read(DATA, 512), content.slice(20 * 512, 21 * 512));
      await successor.stop();
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(leakedDescriptors(), []);
    trackDescriptors(false);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
