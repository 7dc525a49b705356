import assert from "node:assert/strict";
import { join } from "node:path";
import { listenUnix, openFile, Reactor } from "../os/mod.ts";
import { Starter } from "../sandbox/mod.ts";
import { VmStateError } from "./vm_control.ts";
import { tinyTest, TinyVm } from "./testing.ts";
import { startWorker } from "./worker.ts";

tinyTest("a VM starts, echoes, tells of itself, and powers off", async (folder) => {
  await using tiny = await TinyVm.start(folder);
  const { vm } = tiny;
  assert.throws(() => vm.reset(), (error) => error instanceof VmStateError);
  const events = Array.fromAsync(vm.events(), ({ kind }) => kind);
  await vm.started;
  await tiny.outputOf(1);
  await tiny.type("ab");
  assert.equal(await tiny.outputOf(3), "!ab");
  const info = vm.info();
  assert.deepEqual([info.state, info.cpus, info.memoryBytes, info.resets], [
    "running",
    1,
    2 ** 24,
    0,
  ]);
  assert.ok(vm.exits().Io > 3, JSON.stringify(vm.exits()));
  await tiny.type("q");
  assert.deepEqual(await vm.outcome, { kind: "off" });
  assert.equal(vm.info().state, "ended");
  assert.deepEqual(await events, ["started", "ended"]);
  await assert.rejects(vm.pause(), { name: "VmStateError" });
  await assert.rejects(vm.resume(), { name: "VmStateError" });
});

tinyTest("a paused guest does nothing, loses nothing, and goes on", async (folder) => {
  await using tiny = await TinyVm.start(folder, { cpus: 2 });
  const { vm } = tiny;
  await tiny.outputOf(1);
  for (let i = 0; i < 20; i++) {
    await vm.pause();
    assert.equal(vm.info().state, "paused");
    const before = vm.exits();
    await tiny.type("x");
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(vm.exits(), before);
    assert.equal(tiny.output.length, 1 + i);
    await vm.resume();
    await tiny.outputOf(2 + i);
  }
  // Twice is once.
  await Promise.all([vm.pause(), vm.pause()]);
  await Promise.all([vm.resume(), vm.resume()]);
  await vm.pause();
  vm.powerButton();
  const end = vm.stop(20);
  // It does not listen to its power button.
  assert.deepEqual(await end, { kind: "off" });
});

tinyTest(
  "a reset, by the guest or from outside, running or paused, starts anew",
  async (folder) => {
    await using tiny = await TinyVm.start(folder);
    const { vm } = tiny;
    await tiny.outputOf(1);
    await tiny.type("r");
    await tiny.outputOf(2);
    vm.reset();
    await tiny.outputOf(3);
    await vm.pause();
    vm.reset();
    assert.equal(await tiny.outputOf(4), "!!!!");
    assert.deepEqual([vm.info().resets, vm.info().state], [3, "running"]);
    vm.reset();
    await vm.pause();
    assert.equal(vm.info().state, "paused");
    vm.quit();
    assert.deepEqual(await vm.outcome, { kind: "off" });
  },
);

tinyTest("a name is taken while its VM runs, and free afterwards", async (folder) => {
  {
    await using first = await TinyVm.start(folder);
    await first.vm.started;
    await assert.rejects(TinyVm.start(folder), /A VM named "tiny" runs already \(process \d+\)/);
    await using other = await TinyVm.start(folder, { name: "other" });
    await other.outputOf(1);
  }
  await using again = await TinyVm.start(folder);
  await again.outputOf(1);
});

tinyTest("a VM whose disk is not there does not start, and leaves nothing", async (folder) => {
  await using tiny = await TinyVm.start(folder, { disk: [{ path: `${folder}/none` }] });
  await assert.rejects(tiny.vm.started, /Cannot open the disk .*none/);
  await assert.rejects(tiny.vm.outcome, /Cannot open the disk .*none/);
});

tinyTest("one device that fails to start takes the others with it", async (folder) => {
  await using tiny = await TinyVm.start(folder, {
    rng: {},
    disk: [{ socket: `${folder}/nobody.sock` }],
  });
  await assert.rejects(tiny.vm.outcome, /nobody\.sock: there is no such socket/);
});

tinyTest("a device tells of its worker, also when that is killed and replaced", async (folder) => {
  await using tiny = await TinyVm.start(folder, { rng: {} });
  const { vm } = tiny;
  await vm.started;
  const [rng] = vm.info().devices;
  assert.ok(rng.pid !== undefined && rng.pid > 0);
  assert.deepEqual({ ...rng, pid: 0 }, {
    name: "rng",
    kind: "rng",
    backend: "worker",
    state: "connected",
    pid: 0,
    permissions: "none",
    restarts: 0,
    queues: [{ index: 0, size: 256, enabled: false, available: 0, used: 0 }],
    features: "0x0",
  });
  const events = vm.events();
  Deno.kill(rng.pid, "SIGKILL");
  const seen = [];
  for await (const { kind, device } of events) {
    seen.push([kind, device]);
    if (seen.length === 2) break;
  }
  assert.deepEqual(seen, [["device-away", "rng"], ["device-back", "rng"]]);
  const [again] = vm.info().devices;
  assert.deepEqual([again.state, again.restarts], ["connected", 1]);
  assert.notEqual(again.pid, rng.pid);
});

tinyTest("a device's backend is restarted when its user wants it", async (folder) => {
  await using tiny = await TinyVm.start(folder, { rng: {} });
  const { vm } = tiny;
  await assert.rejects(vm.restartDevice("rng", 0), { name: "VmStateError" });
  await vm.started;
  const [before] = vm.info().devices;
  await vm.restartDevice("rng", 20_000);
  const [after] = vm.info().devices;
  assert.deepEqual([after.state, after.restarts], ["connected", 1]);
  assert.notEqual(after.pid, before.pid);
  await assert.rejects(vm.restartDevice("disk0", 0), /There is no device "disk0"/);
});

tinyTest("a guest that reboots while a backend is away waits for it", async (folder) => {
  const path = join(folder, "disk.sock");
  const image = join(folder, "disk.img");
  Deno.writeFileSync(image, new Uint8Array(65536));
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  const serve = async () => {
    using file = openFile(image, { write: true });
    using listening = listenUnix(path);
    const worker = await startWorker(
      starter,
      { kind: "blk", disk: file.borrow(), readonly: false, cache: "auto", queues: 1 },
      { how: "listening", socket: listening.borrow() },
    );
    await worker.ready;
    return worker;
  };
  try {
    const { child } = await serve();
    await using tiny = await TinyVm.start(folder, { disk: [{ socket: path }] });
    const { vm } = tiny;
    await tiny.outputOf(1);
    const events: string[] = [];
    let reboots = Promise.withResolvers<void>();
    const listening = (async () => {
      for await (const { kind, detail = "" } of vm.events()) {
        if (kind !== "started" && kind !== events.at(-1)) events.push(kind);
        // This search is not the one that the loss began.
        if (events.at(-2) === "reset" && /that was failure 2/.test(detail)) reboots.resolve();
      }
    })();
    child.kill();
    await child.exited;
    Deno.removeSync(path);
    await tiny.type("r");
    await reboots.promise;
    assert.equal(vm.info().devices[0].state, "away");
    await assert.rejects(vm.restartDevice("disk0", 0), { name: "VmStateError" });
    await serve();
    assert.equal(await tiny.outputOf(2), "!!");
    assert.equal(vm.info().devices[0].state, "connected");
    // And when it stays away, the VM can still be ended.
    reboots = Promise.withResolvers();
    await starter.close();
    vm.reset();
    await reboots.promise;
    vm.quit();
    assert.deepEqual(await vm.outcome, { kind: "off" });
    await listening;
    const [lost, back] = ["device-away", "device-back"];
    assert.deepEqual(events, [lost, "reset", lost, back, lost, "reset", lost, "ended"]);
  } finally {
    await starter.close();
  }
});

tinyTest(
  "shared memory that no address of the guest reaches is refused by name",
  async (folder) => {
    const wl = { region: "1048576G" };
    await using tiny = await TinyVm.start(folder, { wl });
    await assert.rejects(tiny.vm.outcome, /address bits on this host. Make wl.region smaller/);
  },
);
