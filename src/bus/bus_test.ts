import assert from "node:assert/strict";
import fc from "fast-check";
import { MmioBus, PortBus, RangeConflict } from "./bus.ts";
import type { AccessSize, IoDevice } from "./io_device.ts";

/** Memory that remembers each access it saw. */
class Recorder implements IoDevice {
  readonly memory: DataView;
  readonly accesses: string[] = [];
  constructor(readonly size: number) {
    this.memory = new DataView(new ArrayBuffer(size));
  }
  read(offset: number, size: AccessSize): number {
    this.accesses.push(`r${offset}/${size}`);
    assert.ok(offset % size === 0 && offset + size <= this.size);
    if (size === 1) return this.memory.getUint8(offset);
    return size === 2 ? this.memory.getUint16(offset, true) : this.memory.getUint32(offset, true);
  }
  write(offset: number, size: AccessSize, value: number): void {
    this.accesses.push(`w${offset}/${size}`);
    assert.ok(offset % size === 0 && offset + size <= this.size);
    assert.ok(value >= 0 && value < 2 ** (8 * size));
    if (size === 1) this.memory.setUint8(offset, value);
    else if (size === 2) this.memory.setUint16(offset, value, true);
    else this.memory.setUint32(offset, value, true);
  }
}

Deno.test("an access goes to the device in whose range it lies", () => {
  const bus = new PortBus();
  const low = new Recorder(8);
  const high = new Recorder(4);
  bus.add({ base: 0x600, size: 4 }, high);
  bus.add({ base: 0x3f8, size: 8, width: 1 }, low);
  bus.write(0x600, 4, 0xdeadbeef);
  assert.equal(bus.read(0x600, 4), 0xdeadbeef);
  assert.equal(bus.read(0x602, 2), 0xdead);
  bus.write(0x3f8, 2, 0x0201);
  assert.deepEqual(low.accesses, ["w0/1", "w1/1"]);
  assert.deepEqual(high.accesses, ["w0/4", "r0/4", "r2/2"]);
});

Deno.test("where nobody answers, reads are all ones and both are counted", () => {
  const bus = new PortBus();
  assert.equal(bus.read(0xffff, 4), 0xffff_ffff);
  assert.equal(bus.read(0x80, 1), 0xff);
  bus.write(0x80, 2, 1);
  assert.equal(bus.unclaimedReads, 5);
  assert.equal(bus.unclaimedWrites, 2);
});

Deno.test("eight bytes are split in two", () => {
  const bus = new MmioBus();
  const device = new Recorder(16);
  bus.add({ base: 0xd000_0000, size: 16 }, device);
  const data = new DataView(new ArrayBuffer(16));
  data.setBigUint64(4, 0x1122334455667788n, true);
  bus.writeFrom(0xd000_0008, 8, data, 4);
  bus.readInto(0xd000_0008, 8, data, 8);
  assert.equal(data.getBigUint64(8, true), 0x1122334455667788n);
  assert.deepEqual(device.accesses, ["w8/4", "w12/4", "r8/4", "r12/4"]);
});

Deno.test("ranges may not overlap or leave the address space", () => {
  const bus = new PortBus();
  bus.add({ base: 0x60, size: 2 }, new Recorder(2));
  for (
    const range of [{ base: 0x61, size: 1 }, { base: 0x5f, size: 2 }, { base: 0xffff, size: 2 }]
  ) {
    assert.throws(() => bus.add(range, new Recorder(range.size)), RangeConflict);
  }
});

Deno.test("any access equals the same bytes one by one", () => {
  const bus = new MmioBus();
  const parts = [new Recorder(6), new Recorder(8), new Recorder(3)];
  bus.add({ base: 3, size: 6 }, parts[0]);
  bus.add({ base: 9, size: 8, width: 2 }, parts[1]);
  bus.add({ base: 20, size: 3, width: 1 }, parts[2]);
  const expected = new Uint8Array(40).fill(0xff);
  const claimed = (a: number) => (a >= 3 && a < 17) || (a >= 20 && a < 23);
  for (let a = 0; a < 40; a++) if (claimed(a)) expected[a] = 0;
  fc.assert(fc.property(
    fc.nat(31),
    fc.constantFrom(1, 2, 4, 8),
    fc.uint8Array({ minLength: 8, maxLength: 8 }),
    (address, size, bytes) => {
      const view = new DataView(bytes.buffer);
      if (size === 8) bus.writeFrom(address, size, view, 0);
      else bus.write(address, size as AccessSize, view.getUint32(0, true));
      for (let i = 0; i < size; i++) if (claimed(address + i)) expected[address + i] = bytes[i];
      const seen = new DataView(new ArrayBuffer(8));
      bus.readInto(address, size, seen, 0);
      const got = new Uint8Array(seen.buffer, 0, size);
      assert.deepEqual(got, expected.slice(address, address + size));
      if (size < 8) {
        const number = bus.read(address, size as AccessSize);
        for (let i = 0; i < size; i++) assert.equal((number >>> (8 * i)) & 0xff, got[i]);
      }
    },
  ));
});
