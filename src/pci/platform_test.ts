import assert from "node:assert/strict";
import fc from "fast-check";
import { EventFd, leakedDescriptors, trackDescriptors } from "../os/mod.ts";
import type { AccessSize } from "../bus/mod.ts";
import { DISK, DISK_FEATURES, TestDriver, testPlatform } from "./testing.ts";

const RNG = { ...DISK, name: "rng", type: 4, maxQueues: 1, configSize: 0 };
const MANY = { ...DISK, name: "net0", type: 1, maxQueues: 255, configSize: 256 };

Deno.test("a description survives the way to another thread", () => {
  using machine = testPlatform([DISK, RNG]);
  const { description } = machine.control;
  assert.deepEqual(structuredClone(description), description);
});

Deno.test("nothing that is opened stays open", () => {
  trackDescriptors();
  try {
    testPlatform([DISK, RNG, MANY])[Symbol.dispose]();
    {
      using machine = testPlatform([DISK], 8);
      using event = EventFd.create();
      assert.ok(machine.control.doorbells?.bind(0, event.fd.dup(), "page"));
    }
    assert.throws(() => testPlatform([DISK, { ...RNG, maxQueues: 256 }]), /256 queues/);
    assert.deepEqual(leakedDescriptors(), []);
  } finally {
    trackDescriptors(false);
  }
});

Deno.test("a platform has its limits", () => {
  assert.throws(() => testPlatform(Array(32).fill(RNG)), /32 devices/);
  assert.throws(() => testPlatform(Array(16).fill(MANY)), /4096 MSI-X vectors/);
  using machine = testPlatform([MANY]);
  const driver = new TestDriver(machine.control, machine.vm, 1);
  driver.setConfig(4, 2, 6);
  assert.equal(driver.common(0x12, 2), 0, "no queues before a backend offers any");
  assert.ok(!driver.negotiate(1n << 32n));
});

/** An access to anything that a guest can reach. */
const access = fc.record({
  place: fc.oneof(
    fc.record({ space: fc.constant("port"), address: fc.nat(0xffff) }),
    fc.record({
      space: fc.constant("port"),
      address: fc.constantFrom(
        0x60,
        0x64,
        0x70,
        0x71,
        0x3f8,
        0x3fa,
        0x505,
        0x600,
        0x604,
        0xcf8,
        0xcfc,
      ),
    }),
    fc.record({ space: fc.constant("ecam"), address: fc.nat(0xf_ffff) }),
    fc.record({
      space: fc.constant("ecam"),
      address: fc.tuple(fc.nat(4), fc.nat(255)).map(([slot, register]) => slot << 15 | register),
    }),
    fc.record({
      space: fc.constant("bar"),
      address: fc.tuple(
        fc.constantFrom(1, 2, 3, 4),
        fc.oneof(fc.nat(0x40), fc.nat(0x7fff), fc.nat(0x40).map((n) => 0x4000 + n)),
      ).map(([slot, offset]) => slot * 0x1_0000 + offset),
    }),
    fc.record({ space: fc.constant("window"), address: fc.nat(0x1fff_ffff) }),
  ),
  size: fc.constantFrom(1, 2, 4, 8),
  write: fc.boolean(),
  value: fc.oneof(
    fc.constantFrom(0, 1, 3, 11, 15, 0x406, 0x8000, 0xc000, 0xffff, 0x10_0000, 0xffff_ffff),
    fc.nat(0xffff_ffff),
  ),
  refuse: fc.boolean(),
  poll: fc.boolean(),
});

Deno.test("no access of a guest throws, hangs, or reaches outside, whatever came before", () => {
  fc.assert(
    fc.property(fc.array(access, { minLength: 50, maxLength: 300 }), fc.boolean(), (list, up) => {
      using machine = testPlatform([DISK, RNG, { ...DISK, name: "disk1" }], 8);
      const { control, vm } = machine;
      for (const device of control.virtio) {
        device.setOffered({
          features: DISK_FEATURES,
          queueSizes: device.name === "rng" ? [64] : [256, 256],
          config: new Uint8Array(60),
        });
      }
      const drivers = [1, 2, 3].map((slot) => new TestDriver(control, vm, slot));
      const all = [...drivers, new TestDriver(control, vm, 4)];
      using event = EventFd.create();
      using other = EventFd.create();
      const { doorbells } = control;
      assert.ok(doorbells !== undefined);
      assert.ok(doorbells.bind(0, event.fd.dup(), "interrupt"));
      assert.ok(doorbells.bind(1, other.fd.dup(), "page"));
      const homes = drivers.map(({ bar }) => bar);
      for (const driver of drivers) {
        driver.setConfig(4, 2, 6);
        if (up && driver.slot !== 2) driver.start(1n << 32n);
      }
      const data = new DataView(new ArrayBuffer(8));
      for (const { place, size, write, value, refuse, poll } of list) {
        vm.refuse = refuse;
        data.setUint32(0, value, true);
        data.setUint32(4, value, true);
        const bus = place.space === "port" ? control.platform.ports : control.platform.mmio;
        const address = place.space === "port"
          ? place.address
          : place.space === "ecam"
          ? 0xe000_0000 + place.address
          : place.space === "window"
          ? 0xc000_0000 + place.address
          : all[Math.floor(place.address / 0x1_0000) - 1].bar + place.address % 0x1_0000;
        if (write) bus.writeFrom(address, size, data, 0);
        else bus.readInto(address, size, data, 0);
        if (write && size < 8) bus.write(address, size as AccessSize, value);
        if (!poll) continue;
        for (const device of control.virtio) {
          for (let next = device.poll(), n = 0; next !== undefined; next = device.poll(), n++) {
            assert.ok(n < 40, "the requests of one wake-up are bounded");
            if (next.kind === "reset") device.completeReset();
            if (next.kind !== "activate") continue;
            for (const queue of next.queues) {
              const end = queue.used + 6 + 8 * queue.size;
              assert.ok(queue.size > 0 && queue.size <= 256);
              assert.ok(
                end <= 0x1000_0000 || end <= 2 ** 32 + 0x1000_0000 && queue.used >= 2 ** 32,
              );
            }
          }
        }
      }
      control.serial.drain();
      // Whatever happened, a driver that starts from the beginning makes everything good again.
      vm.refuse = false;
      for (const [i, driver] of drivers.entries()) {
        driver.setConfig(4, 2, 6);
        driver.bar = homes[i];
      }
      for (const driver of drivers) driver.status = 0;
      for (const device of control.virtio) {
        for (let next = device.poll(); next !== undefined; next = device.poll());
        device.completeReset();
      }
      for (const driver of drivers) assert.equal(driver.status, 0);
      doorbells.clear();
      assert.deepEqual([vm.irqfds.size, vm.doorbells.size], [0, 0]);
      drivers[0].start(1n << 32n);
      assert.equal(drivers[0].status, 0xf);
    }),
    { numRuns: 150 },
  );
});
