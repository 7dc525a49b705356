import assert from "node:assert/strict";
import { PortBus } from "../bus/mod.ts";
import { AcpiPm } from "./acpi_pm.ts";
import { I8042 } from "./i8042.ts";
import { Pvpanic } from "./pvpanic.ts";
import { testArena, TestEvents, TestLine } from "./testing.ts";

function setUp() {
  const arena = testArena(4096);
  const sci = new TestLine();
  const events = new TestEvents();
  const pm = new AcpiPm(arena.state, AcpiPm.create(arena), { sci, events, sleepTypeOff: 5 });
  const keyboard = new I8042(arena.state, I8042.create(arena), events);
  const bus = new PortBus();
  bus.add({ base: 0x600, size: 6, width: 2 }, pm);
  bus.add({ base: 0x60, size: 5, width: 1 }, keyboard);
  bus.add({ base: 0x505, size: 1, width: 1 }, new Pvpanic(events));
  return { bus, pm, sci, events };
}

Deno.test("the power button raises the SCI until the guest clears its status", () => {
  const { bus, pm, sci } = setUp();
  assert.equal(bus.read(0x604, 2) & 1, 1, "SCI_EN");
  pm.pressPowerButton();
  assert.equal(sci.level, 0, "not enabled yet");
  bus.write(0x602, 2, 0x0120);
  assert.equal(sci.level, 1);
  assert.equal(bus.read(0x600, 4), 0x0120_0100);
  bus.write(0x600, 2, 0x0001);
  assert.equal(sci.level, 1, "another bit");
  bus.write(0x600, 1, 0xff);
  assert.equal(sci.level, 1, "the other byte");
  bus.write(0x600, 2, 0x0100);
  assert.deepEqual([sci.level, bus.read(0x600, 2)], [0, 0]);
  pm.pressPowerButton();
  assert.equal(sci.edges, 2);
});

Deno.test("sleep type 5 with SLP_EN powers off, others do not", () => {
  const { bus, events } = setUp();
  bus.write(0x604, 2, 5 << 10);
  bus.write(0x604, 2, 3 << 10 | 1 << 13);
  assert.deepEqual(events.raised, []);
  bus.write(0x604, 2, 5 << 10 | 1 << 13);
  assert.deepEqual(events.raised, ["power-off"]);
  assert.equal(bus.read(0x604, 2) & 1 << 13, 0);
});

Deno.test("the keyboard controller is ready for commands at once, and resets", () => {
  const { bus, events } = setUp();
  assert.equal(bus.read(0x64, 1), 0, "Linux's kb_wait polls bit 1, i8042_flush bit 0");
  bus.write(0x64, 1, 0x20);
  assert.equal(bus.read(0x64, 1) & 1, 1);
  assert.equal(bus.read(0x60, 1), 0x30);
  bus.write(0x64, 1, 0xaa);
  assert.equal(bus.read(0x60, 1), 0x55);
  bus.write(0x64, 1, 0xd3);
  bus.write(0x60, 1, 0x5a);
  assert.notEqual(bus.read(0x60, 1), 0x5a, "no mouse loop");
  bus.write(0x60, 1, 0xf2);
  assert.equal(bus.read(0x60, 1), 0xfe, "no keyboard");
  assert.deepEqual(events.raised, []);
  bus.write(0x64, 1, 0xfe);
  assert.deepEqual(events.raised, ["reset"]);
});

Deno.test("pvpanic tells what it can and reports a panic", () => {
  const { bus, events } = setUp();
  assert.equal(bus.read(0x505, 1), 3);
  bus.write(0x505, 1, 2);
  assert.deepEqual(events.raised, []);
  bus.write(0x505, 1, 1);
  assert.deepEqual(events.raised, ["panic"]);
});
