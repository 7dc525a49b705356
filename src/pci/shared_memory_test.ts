import assert from "node:assert/strict";
import type { VirtioPlan } from "./mod.ts";
import { FakeVm, TestDriver, testPlan, testPlatform } from "./testing.ts";
import { buildPlatform } from "./platform.ts";

const GIB = 2 ** 30;
const WL: VirtioPlan = {
  name: "wl",
  type: 63,
  maxQueues: 2,
  configSize: 0,
  sharedMemory: { sizes: [96 * GIB, 4096], mappings: 3 },
};
/** PCI_COMMAND with memory space on, and off. */
const ON = 6, OFF = 4;
const USER = 0x7f00_0000_0000;

function setUp() {
  const machine = testPlatform([WL]);
  const [control] = machine.control.virtio;
  const driver = new TestDriver(machine.control, machine.vm, 1);
  return { machine, control, driver, vm: machine.vm };
}

function sharedBar(driver: TestDriver): number {
  return driver.config(0x1c, 4) * 2 ** 32 + ((driver.config(0x18, 4) & ~15) >>> 0);
}

function moveSharedBar(driver: TestDriver, address: number): void {
  driver.setConfig(0x18, 4, address % 2 ** 32);
  driver.setConfig(0x1c, 4, Math.floor(address / 2 ** 32));
}

const mapping = (offset: number, length: number, more = {}) => (
  { region: 0, offset, length, userAddress: USER + offset, writable: true, ...more }
);

Deno.test("the regions are announced, behind a BAR of their own above memory", () => {
  const { machine, driver } = setUp();
  using _ = machine;
  assert.equal(driver.config(0x18, 4) & 15, 0xc, "64 bits, prefetchable");
  assert.equal(sharedBar(driver) % (128 * GIB), 0);
  moveSharedBar(driver, 2 ** 52 - 1);
  assert.equal(sharedBar(driver) % (128 * GIB), 0);
  const found = driver.capabilities().filter(({ at, id }) =>
    id === 9 && driver.config(at + 3, 1) === 8
  ).map(({ at }) => ({
    length: driver.config(at + 2, 1),
    bar: driver.config(at + 4, 1),
    id: driver.config(at + 5, 1),
    offset: driver.config(at + 8, 4) + driver.config(at + 16, 4) * 2 ** 32,
    size: driver.config(at + 12, 4) + driver.config(at + 20, 4) * 2 ** 32,
  }));
  assert.deepEqual(found, [
    { length: 24, bar: 2, id: 0, offset: 0, size: 96 * GIB },
    { length: 24, bar: 2, id: 1, offset: 96 * GIB, size: 4096 },
  ]);
});

Deno.test("mappings are where the BAR is, and follow it", () => {
  const { machine, control, driver, vm } = setUp();
  using _ = machine;
  assert.ok(control.mapShared(mapping(4096, 8192)));
  assert.equal(vm.slots.size, 0, "memory space is off");
  driver.setConfig(4, 2, ON);
  const base = sharedBar(driver);
  const slot = {
    slot: testPlan([]).ram.length,
    guestAddress: base + 4096,
    size: 8192,
    userAddress: USER + 4096,
    readonly: false,
  };
  assert.deepEqual([...vm.slots.values()], [slot]);
  assert.ok(control.mapShared(mapping(0, 4096, { region: 1, writable: false })));
  assert.deepEqual(vm.slots.get(slot.slot + 1)?.guestAddress, base + 96 * GIB);
  assert.deepEqual(vm.slots.get(slot.slot + 1)?.readonly, true);

  moveSharedBar(driver, 2 ** 40);
  assert.deepEqual(vm.slots.get(slot.slot), { ...slot, guestAddress: 2 ** 40 + 4096 });
  driver.setConfig(4, 2, OFF);
  assert.equal(vm.slots.size, 0);
  driver.setConfig(4, 2, ON);
  assert.equal(vm.slots.size, 2);

  assert.equal(control.unmapShared(0, 4096, 4096), undefined, "only as a whole");
  assert.equal(control.unmapShared(0, 4096, 8192), USER + 4096);
  assert.equal(vm.slots.size, 1);
  control.clearShared();
  assert.equal(vm.slots.size, 0);
  assert.equal(control.unmapShared(1, 0, 4096), undefined);
});

Deno.test("what does not fit, overlaps or is too much is refused", () => {
  const { machine, control, driver, vm } = setUp();
  using _ = machine;
  driver.setConfig(4, 2, ON);
  assert.ok(control.mapShared(mapping(8192, 8192)));
  const size = 96 * GIB;
  for (
    const bad of [
      mapping(size, 4096),
      mapping(size - 4096, 8192),
      mapping(0, 0),
      mapping(0, 2 ** 63),
      mapping(2 ** 63, 4096),
      mapping(0, 4096, { region: 2 }),
      mapping(0, 8192, { region: 1 }),
      mapping(8192, 8192),
      mapping(4096, 8192),
      mapping(12288, 4096),
    ]
  ) assert.ok(!control.mapShared(bad), JSON.stringify(bad));
  assert.ok(control.mapShared(mapping(0, 4096)));
  assert.ok(control.mapShared(mapping(16384, 4096)));
  assert.ok(!control.mapShared(mapping(2 ** 30, 4096)), "no slot is left");
  control.unmapShared(0, 0, 4096);
  vm.refuse = true;
  assert.ok(!control.mapShared(mapping(0, 4096)), "the host refuses");
  vm.refuse = false;
  assert.ok(control.mapShared(mapping(0, 4096)));
});

Deno.test("a BAR over other memory costs the guest what is mapped there, and is told", () => {
  const { machine, control, driver, vm } = setUp();
  using _ = machine;
  driver.setConfig(4, 2, ON);
  vm.setMemoryRegion({ slot: 99, guestAddress: 2 ** 41, size: 8192, userAddress: USER });
  control.mapShared(mapping(4096, 4096));
  control.mapShared(mapping(2 ** 21, 4096));
  moveSharedBar(driver, 2 ** 41);
  assert.deepEqual([...vm.slots.values()].map(({ guestAddress }) => guestAddress), [
    2 ** 41,
    2 ** 41 + 2 ** 21,
  ]);
  assert.match(JSON.stringify(control.poll()), /refused shared memory/);
});

Deno.test("where nothing is mapped there are only ones, and writes go nowhere", () => {
  const { machine, driver } = setUp();
  using _ = machine;
  driver.setConfig(4, 2, ON);
  const { mmio } = machine.control.platform;
  const base = sharedBar(driver);
  mmio.write(base + 0x14, 1, 3);
  assert.equal(mmio.read(base + 0x14, 1) & 0xff, 0xff);
  assert.equal(driver.status, 0, "the registers are behind another BAR");
});

Deno.test("a saved state's mappings mean nothing to another machine", () => {
  const { machine, control, driver } = setUp();
  using _ = machine;
  driver.setConfig(4, 2, ON);
  control.mapShared(mapping(0, 4096));
  const vm = new FakeVm();
  const events = { raise() {}, stopping: false };
  const { description } = machine.control;
  buildPlatform(description, { state: machine.arena.state, vm, events }).restored();
  assert.equal(vm.slots.size, 0);
  assert.equal(control.unmapShared(0, 0, 4096), undefined);
});
