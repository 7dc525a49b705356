import assert from "node:assert/strict";
import fc from "fast-check";
import { PortBus } from "../bus/mod.ts";
import { INPUT_CAPACITY, OUTPUT_CAPACITY, Serial } from "./serial.ts";
import { testArena, TestEvents, TestLine, TestWake } from "./testing.ts";

const BASE = 0x3f8;
const [DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 3, 4, 5, 6, 7];
const FCR = IIR;

function setUp() {
  const arena = testArena();
  const line = new TestLine();
  const wake = new TestWake();
  const events = new TestEvents();
  const serial = new Serial(arena.state, Serial.create(arena), { line, wake, events });
  const bus = new PortBus();
  bus.add({ base: BASE, size: 8, width: 1 }, serial);
  const read = (register: number) => bus.read(BASE + register, 1);
  const write = (register: number, value: number) => bus.write(BASE + register, 1, value);
  return { serial, line, wake, events, bus, read, write };
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const ascii = (s: string) => new TextEncoder().encode(s);

Deno.test("Linux's 8250 autoconfig finds a 16550A without an EFR, 64-byte FIFO or UUE bit", () => {
  const { read, write } = setUp();
  // autoconfig(): the interrupt enable register has four bits.
  write(IER, 0);
  assert.equal(read(IER) & 0x0f, 0);
  write(IER, 0x0f);
  assert.equal(read(IER) & 0x0f, 0x0f);
  write(IER, 0);
  // In loopback RTS and OUT2 come back as CTS and DCD.
  const mcr = read(MCR);
  write(MCR, 0x10 | 0x08 | 0x02);
  assert.equal(read(MSR) & 0xf0, 0x90);
  write(MCR, mcr);
  // FIFOs that work.
  write(LCR, 0xbf);
  write(FCR, 0);
  write(LCR, 0);
  write(FCR, 1);
  assert.equal(read(IIR) >> 6, 3);
  // autoconfig_16550a(): no enhanced features register, with DLAB or with 0xbf.
  write(LCR, 0x80);
  assert.notEqual(read(IIR), 0);
  write(LCR, 0xbf);
  assert.notEqual(read(IIR), 0);
  // Not a National SuperIO chip: EXCR1 does not mirror the loop bit.
  write(LCR, 0);
  const modem = read(MCR);
  write(LCR, 0xe0);
  const excr = read(IIR);
  if (((excr ^ modem) & 0x10) === 0) {
    write(LCR, 0);
    write(MCR, modem ^ 0x10);
    write(LCR, 0xe0);
    const again = read(IIR);
    write(LCR, 0);
    write(MCR, modem);
    assert.equal((again ^ modem) & 0x10, 0);
  }
  // Not a TI16750.
  write(LCR, 0);
  write(FCR, 0x21);
  assert.equal(read(IIR) >> 5, 6);
  write(FCR, 1);
  write(LCR, 0x80);
  write(FCR, 0x21);
  assert.equal(read(IIR) >> 5, 6);
  write(LCR, 0);
  // Not an XScale.
  write(IER, 0x40);
  assert.equal(read(IER) & 0x40, 0);
  write(SCR, 0x5a);
  assert.equal(read(SCR), 0x5a);
});

Deno.test("the driver's start-up test for THRE interrupts finds no bug", () => {
  const { read, write, line } = setUp();
  write(FCR, 1);
  write(IER, 2);
  assert.equal(line.level, 1);
  assert.equal(read(IIR), 0xc2);
  assert.equal(line.level, 0, "reading IIR takes the THRE interrupt back");
  write(IER, 0);
  write(IER, 2);
  assert.equal(read(IIR) & 1, 0, "and enabling it asks again");
  write(IER, 0);
  assert.equal(read(IIR), 0xc1);
});

Deno.test("the divisor latch hides data and interrupt enable", () => {
  const { read, write, serial } = setUp();
  write(LCR, 0x83);
  write(DATA, 0x0c);
  write(IER, 0x01);
  assert.deepEqual([read(DATA), read(IER)], [0x0c, 1]);
  write(LCR, 3);
  assert.equal(read(IER), 0);
  assert.equal(serial.takeOutput(10).length, 0);
});

Deno.test("an interrupt-driven write sends everything; only the first byte wakes the main thread", () => {
  const { read, write, line, wake, serial } = setUp();
  write(FCR, 1);
  const message = ascii("Linux version 6.1, and a few more bytes than fit in a FIFO\n");
  let sent = 0;
  write(IER, 2);
  while (sent < message.length) {
    assert.equal(line.level, 1);
    assert.equal(read(IIR) & 0x0f, 2);
    assert.ok(read(LSR) & 0x20);
    for (let i = 0; i < 16 && sent < message.length; i++) write(DATA, message[sent++]);
  }
  write(IER, 0);
  assert.equal(line.level, 0);
  assert.equal(wake.count, 1);
  assert.equal(text(serial.takeOutput(OUTPUT_CAPACITY)), text(message));
  write(DATA, 0x41);
  assert.equal(wake.count, 2);
});

Deno.test("when the main thread does not keep up, the transmitter is busy until it did", () => {
  const { read, write, line, serial } = setUp();
  write(FCR, 1);
  let sent = 0;
  while (read(LSR) & 0x20) {
    for (let i = 0; i < 16; i++) write(DATA, sent++ & 0xff);
  }
  write(IER, 2);
  assert.equal(line.level, 0, "no THRE interrupt from a busy transmitter");
  assert.equal(read(LSR) & 0x60, 0);
  assert.ok(sent < OUTPUT_CAPACITY && sent > OUTPUT_CAPACITY / 2);
  // A writer that lost patience still loses nothing.
  for (let i = 0; i < 100; i++) write(DATA, sent++ & 0xff);
  const received: number[] = [];
  for (let part = serial.takeOutput(5000); part.length > 0; part = serial.takeOutput(5000)) {
    received.push(...part);
  }
  assert.equal(line.level, 1, "THRE after the drain");
  assert.equal(received.length, sent);
  assert.ok(received.every((byte, i) => byte === (i & 0xff)));
});

Deno.test("a write to a full transmitter waits, but not for a machine that is stopping", () => {
  const { write, serial, events } = setUp();
  for (let i = 0; i < OUTPUT_CAPACITY; i++) write(DATA, i & 0xff);
  events.stopping = true;
  write(DATA, 1);
  assert.equal(serial.takeOutput(2 * OUTPUT_CAPACITY).length, OUTPUT_CAPACITY);
});

Deno.test("input waits until the guest listens, and is then complete", () => {
  const { read, write, line, serial } = setUp();
  const typed = "ls -l\n";
  assert.equal(serial.offerInput(ascii(typed)), typed.length);
  // What serial8250_do_startup does: clear the FIFOs, clear interrupt registers, blindly read data.
  write(FCR, 1);
  write(FCR, 7);
  write(FCR, 0);
  read(LSR);
  read(DATA);
  read(IIR);
  read(MSR);
  write(FCR, 0x81);
  write(MCR, 0x08);
  assert.equal(line.level, 0);
  write(IER, 5);
  assert.equal(line.level, 1);
  assert.equal(read(IIR) & 0x0f, 0x0c, "fewer than the trigger level of 8: time-out");
  let got = "";
  while (read(LSR) & 1) got += String.fromCharCode(read(DATA));
  assert.equal(got, typed);
  assert.equal(line.level, 0);
  serial.offerInput(ascii("0123456789"));
  assert.equal(read(IIR) & 0x0f, 4, "trigger level reached");
});

Deno.test("input is refused when the guest does not read, and asked for again", () => {
  const { read, write, wake, serial } = setUp();
  write(MCR, 3);
  const much = new Uint8Array(INPUT_CAPACITY + 10).fill(0x61);
  assert.equal(serial.offerInput(much), INPUT_CAPACITY);
  assert.equal(serial.offerInput(much), 0);
  for (let i = 0; i < INPUT_CAPACITY; i++) {
    assert.ok(read(LSR) & 1, "RTS alone is enough for a guest that polls");
    assert.equal(read(DATA), 0x61);
  }
  assert.equal(wake.count, 1);
  assert.equal(read(LSR) & 1, 0);
});

Deno.test("loopback returns sixteen bytes and reports the overrun", () => {
  const { read, write, serial } = setUp();
  write(FCR, 1);
  write(MCR, 0x10);
  for (let i = 0; i < 17; i++) write(DATA, i);
  assert.equal(read(LSR) & 3, 3);
  assert.equal(read(LSR) & 3, 1, "the error is told once");
  for (let i = 0; i < 16; i++) assert.equal(read(DATA), i);
  assert.equal(read(LSR) & 1, 0);
  write(MCR, 0);
  assert.equal(serial.takeOutput(10).length, 0);
});

Deno.test("any sequence of accesses leaves the line equal to IIR, and throws nothing", () => {
  const access = fc.record({
    register: fc.nat(7),
    value: fc.nat(255),
    kind: fc.constantFrom("read", "write", "drain", "input"),
  });
  fc.assert(fc.property(fc.array(access, { maxLength: 60 }), (accesses) => {
    const { bus, line, serial, events } = setUp();
    events.stopping = true;
    for (const { register, value, kind } of accesses) {
      if (kind === "read") bus.read(BASE + register, value & 1 ? 1 : 4);
      else if (kind === "write") bus.write(BASE + register, value & 1 ? 1 : 2, value * 257);
      else if (kind === "drain") serial.takeOutput(value);
      else serial.offerInput(new Uint8Array(value));
      const level: number = line.level;
      const none = bus.read(BASE + IIR, 1) & 1;
      assert.equal(level, 1 - none);
    }
  }));
});
