import assert from "node:assert/strict";
import { join } from "node:path";
import {
  connectUnix,
  MessageFlags,
  openFile,
  Reactor,
  receiveMessage,
  sendMessage,
} from "../../os/mod.ts";
import { Starter } from "../../sandbox/mod.ts";
import { RuntimeDir } from "../runtime_dir.ts";
import { tinyTest, TinyVm } from "../testing.ts";
import { startWorker, type Worker } from "../worker.ts";

const disk = [{ provider: "vm:diskvm" }];

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await new Promise((go) => setTimeout(go, 5));
  assert.ok(condition(), "it did not come about within five seconds");
}

function exists(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSocket === true;
  } catch {
    return false;
  }
}

tinyTest(
  "a VM waits for the VM that provides its disk, takes it and gets it back",
  async (folder) => {
    const socket = join(folder, "spectrum/tiny/disk0.sock");
    const image = join(folder, "disk.img");
    Deno.writeFileSync(image, new Uint8Array(65536));
    // This process is the monitor of both VMs.
    using _provider = RuntimeDir.claim("diskvm");
    using reactor = new Reactor();
    const starter = Starter.spawn(reactor);
    const provide = async (): Promise<Worker> => {
      using connection = connectUnix(socket);
      using file = openFile(image, { write: true });
      const worker = await startWorker(
        starter,
        { kind: "blk", disk: file.borrow(), readonly: false, cache: "auto", queues: 1 },
        { how: "connected", socket: connection.borrow() },
      );
      await worker.ready;
      return worker;
    };
    try {
      await using tiny = await TinyVm.start(folder, { disk });
      const { vm } = tiny;
      const device = () => vm.info().devices[0];
      await until(() => exists(socket));
      assert.deepEqual([vm.info().state, device().state], ["starting", "away"]);
      assert.match(
        device().away ?? "",
        /waits for the VM "diskvm", which runs and does not provide it: its file needs \[\[provides\]\]/,
      );

      {
        using nonsense = connectUnix(socket);
        sendMessage(nonsense, new Uint8Array(64).fill(0x41));
        await until(() => !exists(socket));
      }
      await until(() => exists(socket));
      assert.equal(vm.info().state, "starting", "it waits for another");

      const worker = await provide();
      await vm.started;
      assert.deepEqual([device().state, device().restarts], ["connected", 0]);
      worker.child.kill();
      await worker.child.exited;
      await until(() => device().state === "away");
      await tiny.outputOf(1);
      await tiny.type("a");
      assert.equal(await tiny.outputOf(2), "!a", "the guest goes on meanwhile");

      await until(() => exists(socket));
      const next = await provide();
      await until(() => device().restarts === 1);
      await tiny.type("q");
      assert.deepEqual(await vm.outcome, { kind: "off" });
      assert.deepEqual(await next.child.exited, { status: 0 });
    } finally {
      await starter.close();
    }
  },
);

tinyTest("a wait that is ended before it begins is none", async (folder) => {
  await using tiny = await TinyVm.start(folder, { disk });
  tiny.vm.quit();
  assert.deepEqual(await tiny.vm.outcome, { kind: "off" });
});

tinyTest(
  "whoever is not the monitor of that VM is sent away, and the wait can be ended",
  async (folder) => {
    await using tiny = await TinyVm.start(folder, { disk });
    const { vm } = tiny;
    const socket = join(folder, "spectrum/tiny/disk0.sock");
    await until(() => exists(socket));
    assert.match(vm.info().devices[0].away ?? "", /waits for the VM "diskvm", which does not run/);
    using stranger = connectUnix(socket);
    const buffer = new Uint8Array(1);
    await until(() => receiveMessage(stranger, buffer, 0, MessageFlags.DontWait).length === 0);
    assert.equal(vm.info().state, "starting");
    vm.quit();
    assert.deepEqual(await vm.outcome, { kind: "off" });
  },
);

tinyTest("a VM can be stopped whatever a device VM holds on to", async (folder) => {
  using _provider = RuntimeDir.claim("diskvm");
  const socket = join(folder, "spectrum/tiny/disk0.sock");
  await using tiny = await TinyVm.start(folder, { disk });
  await until(() => exists(socket));
  using _silent = connectUnix(socket);
  await until(() => !exists(socket));
  assert.equal(tiny.vm.info().state, "starting");
  tiny.vm.quit();
  assert.deepEqual(await tiny.vm.outcome, { kind: "off" });
});
