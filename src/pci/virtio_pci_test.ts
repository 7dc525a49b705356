import assert from "node:assert/strict";
import type { VirtioRequest } from "./virtio_pci_control.ts";
import { DISK, DISK_FEATURES, TestDriver, testPlatform } from "./testing.ts";

const NEEDS_RESET = 0x40;

function setUp() {
  const machine = testPlatform([DISK]);
  const [control] = machine.control.virtio;
  const config = new Uint8Array(60).map((_, i) => i);
  control.setOffered({ features: DISK_FEATURES, queueSizes: [256, 128], config });
  const driver = new TestDriver(machine.control, machine.vm, 1);
  return { machine, control, driver, vm: machine.vm, config };
}

function pollAll(control: { poll(): VirtioRequest | undefined }): VirtioRequest[] {
  const requests: VirtioRequest[] = [];
  for (let next = control.poll(); next; next = control.poll()) requests.push(next);
  return requests;
}

Deno.test("the capabilities lead to structures of the right size in one BAR", () => {
  const { machine, driver } = setUp();
  using _ = machine;
  assert.deepEqual(driver.capabilities().map(({ id }) => id), [0x11, 9, 9, 9, 9, 9]);
  assert.equal(driver.virtioCapability(1).length, 56 + 4);
  assert.equal(driver.virtioCapability(3).length, 1);
  assert.equal(driver.virtioCapability(4).length, 60);
  const notify = driver.virtioCapability(2);
  assert.equal(notify.length, 8);
  assert.equal(driver.config(notify.at + 2, 1), 20);
  assert.equal(driver.config(notify.at + 16, 4), 4, "notify_off_multiplier");
  assert.equal(driver.config(8, 4) & 0xff, 1, "a revision of modern devices");
  assert.equal(driver.config(2, 2), 0x1042);
});

Deno.test("Linux's start of a driver ends in an activation with what it set up", () => {
  const { machine, control, driver, vm } = setUp();
  using _ = machine;
  driver.setConfig(4, 2, 6);
  driver.setCommon(0, 4, 0);
  const low = driver.common(4, 4);
  driver.setCommon(0, 4, 1);
  const high = driver.common(4, 4);
  driver.setCommon(0, 4, 2);
  assert.equal(driver.common(4, 4), 0);
  assert.deepEqual([low, high], [1 << 28 | 1 << 29 | 1 << 9, 1], "without vhost-user's bit 30");
  assert.equal(driver.common(0x12, 2), 2);
  driver.setCommon(0x16, 2, 1);
  assert.deepEqual([driver.common(0x18, 2), driver.common(0x1e, 2)], [128, 1]);
  driver.setCommon(0x16, 2, 2);
  assert.deepEqual([driver.common(0x18, 2), driver.common(0x1a, 2)], [0, 0xffff]);

  driver.start(1n << 32n | 1n << 29n);
  assert.equal(driver.status, 0xf);
  assert.deepEqual(pollAll(control), [{
    kind: "activate",
    features: 1n << 32n | 1n << 29n,
    queues: [
      { index: 0, size: 256, desc: 0x10_0000, avail: 0x10_1000, used: 0x10_2000, base: 0 },
      {
        index: 1,
        size: 128,
        desc: 2 ** 32 + 0x10_0000,
        avail: 2 ** 32 + 0x10_1000,
        used: 2 ** 32 + 0x10_2000,
        base: 0,
      },
    ],
  }]);
  assert.ok(driver.kick(0));
  assert.equal(control.events.kicks[0].drain(), 1);
  assert.equal(vm.doorbells.size, 2);
  control.saveBase(1, 77);
  assert.equal(control.activation()?.queues[1].base, 77);
});

Deno.test("doorbells follow the BAR, and work by exits where there is none", () => {
  const { machine, control, driver, vm } = setUp();
  using _ = machine;
  driver.start(1n << 32n);
  const home = driver.bar;
  assert.deepEqual([...vm.doorbells.keys()], [home + 0x3000, home + 0x3004]);
  driver.setConfig(4, 2, 4);
  assert.equal(vm.doorbells.size, 0);
  driver.bar = 0xd000_0000;
  assert.equal(vm.doorbells.size, 0);
  driver.setConfig(4, 2, 6);
  assert.deepEqual([...vm.doorbells.keys()], [0xd000_3000, 0xd000_3004]);
  driver.bar = 2 ** 36;
  assert.deepEqual([...vm.doorbells.keys()], [2 ** 36 + 0x3000, 2 ** 36 + 0x3004]);
  assert.ok(driver.kick(1));
  assert.equal(control.events.kicks[1].drain(), 1);

  vm.refuse = true;
  driver.bar = 0xd100_0000;
  assert.equal(vm.doorbells.size, 0);
  assert.ok(!driver.kick(1));
  assert.equal(control.events.kicks[1].drain(), 1);
  driver.write(0x3000, 4 * 2, 2, 2);
  driver.write(0x3000, 0xffc, 4, 2);
  assert.ok(pollAll(control).some((request) => request.kind === "fault"));
});

Deno.test("features must be among those offered, VERSION_1 with them, and stay", () => {
  const { machine, driver } = setUp();
  using _ = machine;
  driver.setConfig(4, 2, 6);
  assert.ok(!driver.negotiate(1n << 9n), "without VERSION_1");
  assert.ok(!driver.negotiate(1n << 32n | 1n << 5n), "not offered");
  assert.ok(driver.negotiate(1n << 32n | 1n << 9n));
  driver.setCommon(8, 4, 0);
  driver.setCommon(12, 4, 0);
  assert.equal(driver.common(12, 4), 1 << 9);
  driver.status = 1;
  assert.equal(driver.status, 0xb, "status bits are not cleared one by one");
});

Deno.test("a reset during work waits for the control thread, and leaves nothing behind", () => {
  const { machine, control, driver, vm } = setUp();
  using _ = machine;
  driver.start(1n << 32n);
  assert.equal(pollAll(control)[0].kind, "activate");
  driver.kick(0);
  driver.status = 0;
  assert.notEqual(driver.status, 0);
  assert.deepEqual([vm.doorbells.size, vm.irqfds.size], [0, 0]);
  driver.status = 1;
  driver.setCommon(0x16, 2, 1);
  driver.kick(0);
  assert.notEqual(driver.status & 8, 0, "nothing changes before the backend has stopped");
  assert.deepEqual(pollAll(control), [{ kind: "reset" }]);
  assert.equal(control.activation(), undefined);
  control.completeReset();
  assert.equal(driver.status, 0);
  assert.equal(driver.common(0x1c, 2), 0);
  assert.equal(control.events.kicks[0].drain(), 0);
  driver.start(1n << 32n);
  assert.equal(pollAll(control)[0].kind, "activate");
});

Deno.test("a reset before the control thread has looked needs nobody", () => {
  const { machine, control, driver } = setUp();
  using _ = machine;
  driver.start(1n << 32n);
  driver.status = 0;
  assert.equal(driver.status, 0);
  assert.deepEqual(pollAll(control), []);
});

const BAD_QUEUES: [string, (driver: TestDriver) => void][] = [
  ["no power of two", (driver) => driver.setQueue(0, 1, 0x10_0000, 100)],
  ["larger than offered", (driver) => driver.setQueue(0, 1, 0x10_0000, 512)],
  ["zero", (driver) => driver.setQueue(0, 1, 0x10_0000, 0)],
  ["unaligned", (driver) => driver.setQueue(0, 1, 0x10_0008)],
  ["outside of RAM", (driver) => driver.setQueue(0, 1, 0x2000_0000)],
  ["across the end of RAM", (driver) => driver.setQueue(0, 1, 0x1000_0000 - 0x2800)],
  ["beyond any address", (driver) => driver.setQueue(0, 1, 2 ** 63)],
];
for (const [what, set] of BAD_QUEUES) {
  Deno.test(`a queue that is ${what} breaks the device until a reset, once`, () => {
    const { machine, control, driver } = setUp();
    using _ = machine;
    driver.setConfig(4, 2, 6);
    driver.negotiate(1n << 32n);
    set(driver);
    assert.ok(driver.status & NEEDS_RESET);
    assert.equal(driver.common(0x1c, 2), 0);
    set(driver);
    driver.setQueue(1, 2, 0x20_0000);
    driver.status = 0xf;
    const kinds = pollAll(control).map(({ kind }) => kind);
    assert.deepEqual(kinds, ["fault"], "and is not shown to a backend");
    driver.status = 0;
    assert.equal(driver.status, 0);
    driver.start(1n << 32n);
    assert.equal(driver.status, 0xf);
  });
}

Deno.test("the queue's end is inside RAM to the byte", () => {
  const { machine, driver } = setUp();
  using _ = machine;
  driver.setConfig(4, 2, 6);
  driver.negotiate(1n << 32n);
  // used ring of 256 entries: 6 + 8 * 256 bytes.
  const last = Math.floor((0x1000_0000 - (6 + 8 * 256)) / 16) * 16;
  driver.setQueue(0, 1, last - 0x2000);
  assert.equal(driver.status & NEEDS_RESET, 0);
  assert.equal(driver.common(0x1c, 2), 1);
});

Deno.test("DRIVER_OK before features are agreed on breaks the device", () => {
  const { machine, control, driver } = setUp();
  using _ = machine;
  driver.setConfig(4, 2, 6);
  driver.status = 1;
  driver.status = 7;
  assert.equal(driver.status, 3 | NEEDS_RESET);
  assert.deepEqual(pollAll(control).map(({ kind }) => kind), ["fault"]);
});

Deno.test("configuration is read from what the backend said, and only writable bytes are written", () => {
  const { machine, control, driver, config } = setUp();
  using _ = machine;
  driver.start(1n << 32n);
  pollAll(control);
  assert.equal(driver.read(0x2000, 8, 4), 0x0b0a0908);
  assert.equal(driver.read(0x2000, 0xfc, 4), 0);
  assert.equal(driver.read(0x2000, 0x400, 4), 0);
  driver.write(0x2000, 0, 4, 0xdead);
  driver.write(0x2000, 32, 1, 1);
  assert.equal(driver.read(0x2000, 32, 1), 1);
  assert.deepEqual(pollAll(control), [
    { kind: "config-write", offset: 32, bytes: new Uint8Array([1]) },
  ]);
  for (let i = 0; i < 40; i++) driver.write(0x2000, 32, 1, i);
  assert.equal(pollAll(control).length, 16, "a flood is bounded");

  const generation = driver.common(0x15, 1);
  config[0] = 99;
  config[32] = driver.read(0x2000, 32, 1);
  control.updateConfig(config);
  assert.equal(driver.common(0x15, 1), generation + 1);
  assert.deepEqual(machine.vm.deliver(), ["fee00000:40"]);
  control.updateConfig(config);
  assert.equal(driver.common(0x15, 1), generation + 1);
  assert.deepEqual(machine.vm.deliver(), []);
  assert.equal(driver.read(0x1000, 0, 1), 2);
  assert.equal(driver.read(0x1000, 0, 1), 0, "reading the ISR clears it");
});

Deno.test("a broken backend shows as NEEDS_RESET with an interrupt", () => {
  const { machine, control, driver, vm } = setUp();
  using _ = machine;
  driver.start(1n << 32n);
  control.markBroken();
  control.markBroken();
  assert.equal(driver.status, 0xf | NEEDS_RESET);
  assert.deepEqual(vm.deliver(), ["fee00000:40"]);
});

Deno.test("the BAR can be reached through configuration space, even unmapped", () => {
  const { machine, driver } = setUp();
  using _ = machine;
  const { at } = driver.virtioCapability(5);
  const through = (offset: number, size: 1 | 2 | 4) => {
    driver.setConfig(at + 4, 1, 0);
    driver.setConfig(at + 8, 4, offset);
    driver.setConfig(at + 12, 4, size);
  };
  through(0x12, 2);
  assert.equal(driver.config(at + 16, 2), 2);
  through(0x14, 1);
  driver.setConfig(at + 16, 1, 1);
  assert.equal(driver.config(at + 16, 1), 1);
  for (const [offset, size] of [[0x7fff, 2], [0x8000, 4], [2, 4], [0, 3], [0xffff_fffc, 4]]) {
    driver.setConfig(at + 8, 4, offset);
    driver.setConfig(at + 12, 4, size);
    driver.config(at + 16, 4);
    driver.setConfig(at + 16, 4, 0xffff_ffff);
  }
});

Deno.test("an offer that cannot be presented is refused", () => {
  const { machine, control } = setUp();
  using _ = machine;
  const config = new Uint8Array(60);
  const offer = { features: DISK_FEATURES, queueSizes: [256], config };
  assert.throws(() => control.setOffered({ ...offer, features: 1n << 9n }), /VERSION_1/);
  assert.throws(() => control.setOffered({ ...offer, queueSizes: [256, 256, 256] }), /3 queues/);
  assert.throws(() => control.setOffered({ ...offer, queueSizes: [100] }), /100 entries/);
});
