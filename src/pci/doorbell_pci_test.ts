import assert from "node:assert/strict";
import { EventFd } from "../os/mod.ts";
import type { DoorbellControl } from "./doorbell_control.ts";
import { DISK, TestDriver, testPlatform, testState } from "./testing.ts";
import { createPlatform } from "./create_platform.ts";
import { FakeVm, testPlan } from "./testing.ts";

const SLOTS = 8;
const PBA = 0x4000;

/** A machine with a disk and doorbells whose driver has vectors 0 to 3. */
function started() {
  const machine = testPlatform([DISK], SLOTS);
  const { control, vm } = machine;
  const driver = new TestDriver(control, vm, 2);
  driver.setConfig(4, 2, 0x0406);
  driver.msixControl(0x8000);
  for (const vector of [0, 1, 2, 3]) setVector(driver, vector, 0xfee0_0000, 0x50 + vector);
  assert.ok(control.doorbells);
  return { machine, driver, vm, doorbells: control.doorbells };
}

function setVector(driver: TestDriver, vector: number, address: number, data: number): void {
  driver.write(16 * vector, 0, 4, address);
  driver.write(16 * vector, 8, 4, data);
  driver.write(16 * vector, 12, 4, 0);
}

const mask = (driver: TestDriver, vector: number, masked: boolean) =>
  driver.write(16 * vector, 12, 4, masked ? 1 : 0);

/** Where the pages are. */
const pages = (driver: TestDriver) =>
  driver.config(0x1c, 4) * 2 ** 32 + ((driver.config(0x18, 4) & ~15) >>> 0);

const bind = (
  doorbells: DoorbellControl,
  slot: number,
  event: EventFd,
  use: "interrupt" | "page",
) => doorbells.bind(slot, event.fd.dup(), use);

Deno.test("a function of its own comes after the virtio devices: a vector and a page per slot", () => {
  using machine = testPlatform([DISK], SLOTS);
  const driver = new TestDriver(machine.control, machine.vm, 2);
  assert.equal(driver.config(0, 4), 0x10f0_1af4);
  assert.equal(driver.config(8, 4) >>> 8, 0x08_8000);
  const msix = driver.capabilities().find(({ id }) => id === 0x11);
  assert.ok(msix);
  assert.equal(driver.config(msix.at + 2, 2) & 0x7ff, SLOTS - 1);
  driver.setConfig(0x18, 4, 0xffff_ffff);
  assert.equal((driver.config(0x18, 4) & ~15) >>> 0, 2 ** 32 - SLOTS * 4096);
});

Deno.test("a machine without doorbells has no such function, and more than there can be are refused", () => {
  using machine = testPlatform([DISK]);
  assert.equal(machine.control.doorbells, undefined);
  assert.equal(new TestDriver(machine.control, machine.vm, 2).config(0, 4), 0xffff_ffff);
  assert.throws(() => testPlatform([DISK], 1025), RangeError);
  using most = testPlatform([DISK], 1024);
  assert.ok(most.control.doorbells);
});

Deno.test("an event that is bound raises the vector of its slot, until it is unbound", () => {
  const { machine, vm, doorbells } = started();
  using _ = machine;
  using event = EventFd.create();
  assert.ok(bind(doorbells, 1, event, "interrupt"));
  event.signal();
  assert.deepEqual(vm.deliver(), ["fee00000:51"]);
  assert.ok(doorbells.unbind(1));
  event.signal();
  assert.deepEqual(vm.deliver(), []);
  assert.equal(vm.irqfds.size, 0);
  assert.equal(doorbells.unbind(1), false);
});

Deno.test("what was signalled before it was bound, or while its vector was masked, is delivered", () => {
  const { machine, vm, doorbells, driver } = started();
  using _ = machine;
  using event = EventFd.create();
  mask(driver, 2, true);
  event.signal();
  assert.ok(bind(doorbells, 2, event, "interrupt"));
  assert.equal(vm.irqfds.size, 0);
  assert.equal(driver.read(PBA, 0, 4), 1 << 2);
  mask(driver, 2, false);
  assert.deepEqual(vm.deliver(), ["fee00000:52"]);
  mask(driver, 2, true);
  event.signal();
  assert.deepEqual(vm.deliver(), []);
  driver.msixControl(0);
  mask(driver, 2, false);
  assert.deepEqual(vm.deliver(), []);
  driver.msixControl(0x8000);
  assert.deepEqual(vm.deliver(), ["fee00000:52"]);
});

Deno.test("a write to the page of a slot signals its event without us, wherever the pages are", () => {
  const { machine, vm, doorbells, driver } = started();
  using _ = machine;
  using event = EventFd.create();
  assert.ok(bind(doorbells, 3, event, "page"));
  const before = pages(driver);
  assert.deepEqual([...vm.doorbells.keys()], [before + 3 * 4096]);
  driver.setConfig(4, 2, 0);
  assert.equal(vm.doorbells.size, 0);
  driver.setConfig(0x18, 4, 0xc800_0000);
  assert.equal(vm.doorbells.size, 0);
  driver.setConfig(4, 2, 2);
  assert.deepEqual([...vm.doorbells.keys()], [0xc800_3000]);
  assert.ok(doorbells.unbind(3));
  assert.equal(vm.doorbells.size, 0);
});

Deno.test("what is written to pages without event goes nowhere, and they read as zero", () => {
  const { machine, vm, doorbells, driver } = started();
  using _ = machine;
  using event = EventFd.create();
  assert.ok(bind(doorbells, 0, event, "interrupt"));
  const { mmio } = machine.control.platform;
  for (let at = 0; at < SLOTS * 4096; at += 1020) {
    mmio.write(pages(driver) + at, 4, 0xffff_ffff);
    assert.equal(mmio.read(pages(driver) + at, 4), 0);
  }
  assert.equal(event.drain(), 0);
  assert.deepEqual(vm.deliver(), []);
});

Deno.test("a slot that is taken or does not exist is refused, and what the host refuses leaves nothing", () => {
  const { machine, vm, doorbells, driver } = started();
  using _ = machine;
  using event = EventFd.create();
  using other = EventFd.create();
  assert.ok(bind(doorbells, 0, event, "interrupt"));
  assert.equal(bind(doorbells, 0, other, "page"), false);
  assert.equal(bind(doorbells, SLOTS, other, "page"), false);
  vm.refuse = true;
  assert.equal(bind(doorbells, 1, other, "interrupt"), false);
  assert.equal(bind(doorbells, 2, other, "page"), false);
  vm.refuse = false;
  assert.equal(vm.irqfds.size + vm.doorbells.size, 1);
  assert.ok(bind(doorbells, 1, other, "page"));
  assert.ok(bind(doorbells, 2, other, "interrupt"));
  setVector(driver, 2, 0xfee0_1000, 0x99);
  other.signal();
  assert.deepEqual(vm.deliver(), ["fee01000:99"]);
  doorbells.clear();
  assert.equal(vm.irqfds.size + vm.doorbells.size, 0);
});

Deno.test("a restored machine has no events, whatever was saved", () => {
  const { machine, doorbells } = started();
  using _ = machine;
  using event = EventFd.create();
  assert.ok(bind(doorbells, 0, event, "interrupt"));
  assert.ok(bind(doorbells, 1, event, "page"));
  const arena = testState();
  const vm = new FakeVm();
  const events = { raise() {}, stopping: false };
  using restored = createPlatform(testPlan([DISK], SLOTS), { arena, vm, events });
  arena.state.bytes.set(machine.arena.state.bytes);
  restored.platform.restored();
  assert.equal(vm.irqfds.size + vm.doorbells.size, 0);
  assert.ok(restored.doorbells);
  assert.ok(bind(restored.doorbells, 0, event, "interrupt"));
  event.signal();
  assert.deepEqual(vm.deliver(), ["fee00000:50"]);
});
