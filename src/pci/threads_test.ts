import assert from "node:assert/strict";
import { Kvm } from "../kvm/mod.ts";
import type { SharedFd } from "../os/mod.ts";
import { createPlatform } from "./create_platform.ts";
import { DISK, DISK_FEATURES, TestDriver, testPlan, testPlatform, testState } from "./testing.ts";

function startThread(message: Record<string, unknown>): Promise<void> {
  const url = new URL("./threads_test_worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  return new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve();
    worker.onerror = reject;
    worker.postMessage(message);
  }).finally(() => worker.terminate());
}

Deno.test("two vCPU threads print more than the ring holds, and every byte arrives in order", async () => {
  using machine = testPlatform([DISK]);
  const { arena: { state: { buffer } }, control: { description, serial } } = machine;
  const rounds = 100_000;
  const job = { buffer, description, job: "print", rounds };
  let left = 2;
  const threads = [0, 100].map((first) => startThread({ ...job, first }).finally(() => left--));
  const next = [0, 0];
  let total = 0;
  for (let last = false;;) {
    const part = serial.drain(10_000);
    for (const byte of part) {
      const thread = byte < 100 ? 0 : 1;
      assert.equal(byte % 100, next[thread]++ % 100);
    }
    total += part.length;
    if (part.length > 0) continue;
    if (last) break;
    last = left === 0;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(threads);
  assert.equal(total, 2 * rounds);
});

/** Attachments can be tried on any KVM; it need not run guests fast. */
function hasKvm(): boolean {
  try {
    using _kvm = Kvm.open();
    return true;
  } catch {
    return false;
  }
}

Deno.test("KVM takes what we attach, from two threads at once, and gives all of it back", {
  ignore: !hasKvm(),
}, async () => {
  using kvm = Kvm.open();
  using vm = kvm.createVm();
  vm.createIrqchip();
  const arena = testState();
  using control = createPlatform(testPlan([DISK]), {
    arena,
    vm,
    events: { raise() {}, stopping: false },
  });
  const [device] = control.virtio;
  device.setOffered({
    features: DISK_FEATURES,
    queueSizes: [256, 256],
    config: new Uint8Array(60),
  });
  const driver = new TestDriver(control, undefined, 1);
  driver.start(1n << 32n);
  const kinds = [];
  for (let next = device.poll(); next; next = device.poll()) kinds.push(next);
  assert.deepEqual(kinds.map(({ kind }) => kind), ["activate"]);
  driver.bar = 0xd000_0000;
  driver.setConfig(4, 2, 4);
  driver.setConfig(4, 2, 6);
  driver.bar = 0xc000_0000;

  const job = {
    buffer: arena.state.buffer,
    description: control.description,
    vm: vm.share() satisfies SharedFd,
    job: "mask",
    rounds: 3000,
  };
  await Promise.all([5, 6].map((first) => startThread({ ...job, first })));
  for (const vector of [0, 1, 2]) driver.mask(vector, false);
  device.events.calls[0].signal();
  assert.deepEqual(device.poll(), undefined, "no attachment failed");
  assert.equal(driver.read(0x5000, 0, 4), 0);
  driver.status = 0;
  assert.equal(device.poll()?.kind, "reset");
  device.completeReset();
  driver.start(1n << 32n);
  assert.equal(device.poll()?.kind, "activate");
});
