import assert from "node:assert/strict";
import { EventFd, leakedDescriptors, trackDescriptors } from "../os/mod.ts";
import { DISK, TestDriver, testPlatform } from "./testing.ts";

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
