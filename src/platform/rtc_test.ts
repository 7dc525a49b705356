import assert from "node:assert/strict";
import { Rtc } from "./rtc.ts";
import { testArena } from "./testing.ts";

function setUp(start: string) {
  const arena = testArena(4096);
  const host = { now: Date.parse(start) };
  const rtc = new Rtc(arena.state, Rtc.create(arena), () => host.now);
  const read = (register: number) => {
    rtc.write(0, 1, register | 0x80);
    return rtc.read(1, 1);
  };
  const write = (register: number, value: number) => {
    rtc.write(0, 1, register);
    rtc.write(1, 1, value);
  };
  const bcd = (register: number) => parseInt(read(register).toString(16), 10);
  const time = () => {
    assert.equal(read(0x0a) & 0x80, 0);
    return [bcd(0x32), bcd(9), bcd(8), bcd(7), bcd(4), bcd(2), bcd(0)].map((n) =>
      String(n).padStart(2, "0")
    ).join("");
  };
  return { rtc, host, read, write, time };
}

Deno.test("the time is the host's, in UTC and BCD", () => {
  const { read, time } = setUp("2026-11-24T16:59:07Z");
  assert.equal(read(0x0b) & 0x06, 0x02);
  assert.equal(read(0x0d), 0x80);
  assert.equal(read(0x0c), 0);
  assert.equal(time(), "20261124165907");
  assert.equal(read(6), 3, "a Tuesday");
});

Deno.test("with the default clock it is now", () => {
  const arena = testArena(4096);
  const rtc = new Rtc(arena.state, Rtc.create(arena));
  rtc.write(0, 1, 0x09);
  assert.equal(parseInt(rtc.read(1, 1).toString(16)), new Date().getUTCFullYear() % 100);
});

Deno.test("an update is never in progress, and a reader that asked sees no carry", () => {
  const { read, host } = setUp("2026-12-31T23:59:59.999Z");
  for (let i = 0; i < 2000; i++) {
    assert.equal(read(0x0a) & 0x80, 0);
    host.now += 0.7;
  }
  host.now = Date.parse("2026-12-31T23:59:59.999Z");
  read(0x0a);
  const minute = read(2);
  host.now += 4;
  assert.deepEqual([minute, read(4), read(9)], [0x59, 0x23, 0x26]);
  host.now += 20;
  assert.deepEqual([read(2), read(4), read(9)], [0, 0, 0x27]);
});

Deno.test("binary and 12-hour modes", () => {
  const { read, write, host } = setUp("2026-11-24T00:30:00Z");
  write(0x0b, 0x06);
  assert.deepEqual([read(2), read(9), read(0x32)], [30, 26, 20]);
  write(0x0b, 0x04);
  assert.equal(read(4), 12, "midnight is 12 am");
  host.now = Date.parse("2026-11-24T13:30:00Z");
  assert.equal(read(4), 0x81);
  write(0x0b, 0x00);
  assert.equal(read(2), 0x30);
});

Deno.test("a guest sets the clock for itself, and it goes on from there", () => {
  const { write, time, host } = setUp("2026-11-24T16:00:00Z");
  write(0x0b, 0x82);
  host.now += 3000;
  for (const [register, value] of [[0, 0x30], [2, 0x15], [4, 0x08], [7, 1], [8, 2], [9, 0x30]]) {
    write(register, value);
  }
  write(0x0b, 0x02);
  assert.equal(time(), "20300201081530");
  host.now += 60_000;
  assert.equal(time(), "20300201081630");
});

Deno.test("alarm and memory are stored", () => {
  const { read, write, time } = setUp("2026-11-24T16:00:00Z");
  write(1, 0x59);
  write(0x40, 0xab);
  write(0x0a, 0xa6);
  assert.deepEqual([read(1), read(0x40), read(0x0a), read(0x0b)], [0x59, 0xab, 0x26, 2]);
  assert.equal(time(), "20261124160000");
});
