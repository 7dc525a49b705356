import assert from "node:assert/strict";
import { DISK, DISK_FEATURES, TestDriver, testPlatform } from "./testing.ts";

function started() {
  const machine = testPlatform([DISK, { ...DISK, name: "disk1" }]);
  for (const control of machine.control.virtio) {
    control.setOffered({
      features: DISK_FEATURES,
      queueSizes: [256, 256],
      config: new Uint8Array(60),
    });
  }
  const driver = new TestDriver(machine.control, machine.vm, 1);
  driver.start(1n << 32n);
  const events = machine.control.virtio[0].events;
  return { ...machine, machine, driver, events };
}

Deno.test("the capability describes one vector per queue and one more", () => {
  using machine = testPlatform([DISK]);
  const driver = new TestDriver(machine.control, machine.vm, 1);
  const msix = driver.capabilities().find(({ id }) => id === 0x11);
  assert.ok(msix);
  assert.equal(driver.config(msix.at + 2, 2) & 0x7ff, 2);
  assert.equal(driver.config(msix.at + 4, 4), 0x4000);
  assert.equal(driver.config(msix.at + 8, 4), 0x5000);
});

Deno.test("an unmasked vector delivers its message without us", () => {
  const { vm, events, machine } = started();
  using _ = machine;
  events.calls[0].signal();
  assert.deepEqual(vm.deliver(), ["fee00000:41"]);
  events.calls[1].signal();
  events.config.signal();
  assert.deepEqual(vm.deliver().sort(), ["fee00000:40", "fee00000:42"]);
  const pins = vm.routes.filter((route) => route.kind === "irqchip");
  assert.equal(pins.length, 40, "the interrupt controllers keep their routes");
});

Deno.test("masking keeps interrupts pending, and unmasking delivers them once", () => {
  const { vm, events, driver, machine } = started();
  using _ = machine;
  driver.mask(1, true);
  assert.equal(driver.read(0x5000, 0, 4), 0);
  events.calls[0].signal();
  events.calls[0].signal();
  assert.deepEqual(vm.deliver(), []);
  assert.equal(driver.read(0x5000, 0, 4), 1 << 1);
  assert.equal(driver.read(0x5000, 0, 1), 1 << 1, "looking takes nothing away");
  driver.mask(1, false);
  assert.deepEqual(vm.deliver(), ["fee00000:41"]);
  assert.deepEqual(vm.deliver(), []);
  driver.mask(1, true);
  assert.equal(driver.read(0x5000, 0, 4), 0);
});

Deno.test("the function mask holds all vectors back", () => {
  const { vm, events, driver, machine } = started();
  using _ = machine;
  driver.msixControl(0xc000);
  assert.equal(vm.irqfds.size, 0);
  events.calls[1].signal();
  assert.equal(driver.read(0x5000, 0, 4), 1 << 2);
  driver.msixControl(0x8000);
  assert.deepEqual(vm.deliver(), ["fee00000:42"]);
  driver.msixControl(0);
  assert.equal(vm.irqfds.size, 0);
});

Deno.test("a vector moves to another CPU: masked, rewritten, unmasked; unchanged ones cost no routing", () => {
  const { vm, events, driver, machine } = started();
  using _ = machine;
  const routings = vm.routings;
  driver.mask(1, true);
  driver.mask(1, false);
  assert.equal(vm.routings, routings);
  driver.mask(1, true);
  driver.write(0x4000, 16, 4, 0xfee0_1000);
  driver.mask(1, false);
  assert.equal(vm.routings, routings + 1);
  driver.write(0x4000, 16 + 8, 4, 0x99);
  events.calls[0].signal();
  assert.deepEqual(vm.deliver(), ["fee01000:99"], "a change while unmasked counts, too");
});

Deno.test("queues may share a vector; one that does not exist reads back as none", () => {
  const { vm, events, driver, machine } = started();
  using _ = machine;
  driver.setCommon(0x16, 2, 0);
  driver.setCommon(0x1a, 2, 2);
  events.calls[0].signal();
  events.calls[1].signal();
  assert.deepEqual(vm.deliver(), ["fee00000:42", "fee00000:42"]);
  driver.setCommon(0x1a, 2, 3);
  assert.equal(driver.common(0x1a, 2), 0xffff);
  assert.equal(vm.irqfds.size, 2);
});

Deno.test("two functions have different GSIs", () => {
  const { vm, driver, control, machine } = started();
  using _ = machine;
  const other = new TestDriver(control, vm, 2);
  other.start(1n << 32n);
  assert.equal(vm.irqfds.size, 6);
  assert.equal(new Set([...vm.irqfds.values()].map(({ gsi }) => gsi)).size, 6);
  assert.ok([...vm.irqfds.values()].every(({ gsi }) => gsi >= 24 && gsi < 30));
  driver.status = 0;
  assert.equal(vm.irqfds.size, 3);
});

Deno.test("when the host refuses, the device says so and the others go on", () => {
  const { vm, driver, control, machine } = started();
  using _ = machine;
  driver.mask(1, true);
  vm.refuse = true;
  driver.write(0x4000, 16, 4, 0xfee0_2000);
  driver.mask(1, false);
  vm.refuse = false;
  const requests = [];
  for (let next = control.virtio[0].poll(); next; next = control.virtio[0].poll()) {
    requests.push(next.kind === "fault" ? next.reason : next.kind);
  }
  assert.deepEqual(requests, ["the host refused an interrupt route", "activate"]);
  new TestDriver(control, vm, 2).start(1n << 32n);
  assert.equal(vm.irqfds.size, 5);
});
