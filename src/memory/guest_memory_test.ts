import assert from "node:assert/strict";
import fc from "fast-check";
import { GuestFault, GuestMemory, type MemoryRegion } from "./mod.ts";

const PAGE = 4096;

function memoryOf(regions: MemoryRegion[]) {
  const end = Math.max(...regions.map((r) => r.windowOffset + r.size));
  const buffer = new ArrayBuffer(end + PAGE);
  return new GuestMemory({ buffer, view: new DataView(buffer) }, regions);
}

const TWO = [
  { guestAddress: 0x1_0000_0000, size: PAGE, windowOffset: 5 * PAGE },
  { guestAddress: 0, size: 2 * PAGE, windowOffset: PAGE },
];

Deno.test("a range inside a region has a place, at its edges too", () => {
  const memory = memoryOf(TWO);
  assert.equal(memory.translate(0, 2 * PAGE), PAGE);
  assert.equal(memory.translate(2 * PAGE - 1, 1), 3 * PAGE - 1);
  assert.equal(memory.translate(0x1_0000_0fff, 1), 6 * PAGE - 1);
  assert.equal(memory.translate(0, 2 * PAGE + 1), -1);
  assert.equal(memory.translate(2 * PAGE, 0), -1);
  assert.equal(memory.translate(0xffff_ffff, 2), -1);
});

Deno.test("hostile numbers have no place", () => {
  const memory = memoryOf(TWO);
  for (const address of [-1, NaN, Infinity, 2 ** 64, 2 ** 53]) {
    assert.equal(memory.translate(address, 1), -1);
  }
  for (const length of [-1, NaN, Infinity, 2 ** 64]) assert.equal(memory.translate(0, length), -1);
});

Deno.test("regions that touch are still two", () => {
  const memory = memoryOf([
    { guestAddress: 0, size: PAGE, windowOffset: PAGE },
    { guestAddress: PAGE, size: PAGE, windowOffset: 8 * PAGE },
  ]);
  assert.equal(memory.translate(PAGE - 4, 8), -1);
  assert.equal(memory.translate(PAGE, 8), 8 * PAGE);
  assert.deepEqual([memory.reach(PAGE - 4), memory.reach(PAGE), memory.reach(2 * PAGE)], [
    4,
    PAGE,
    0,
  ]);
});

Deno.test("translation agrees with a byte-by-byte map", () => {
  const region = fc.record({
    gap: fc.integer({ min: 0, max: 9 }),
    size: fc.integer({ min: 1, max: 9 }),
  });
  fc.assert(fc.property(
    fc.array(region, { minLength: 1, maxLength: 8 }),
    fc.integer({ min: -3, max: 170 }),
    fc.integer({ min: 1, max: 20 }),
    (parts, address, length) => {
      let at = 0;
      const regions = parts.map(({ gap, size }, i) => {
        const guestAddress = at + gap;
        at = guestAddress + size;
        return { guestAddress, size, windowOffset: 1000 * (parts.length - i) };
      });
      const places = new Map<number, { region: number; offset: number }>();
      regions.forEach((r, i) => {
        for (let k = 0; k < r.size; k++) {
          places.set(r.guestAddress + k, { region: i, offset: r.windowOffset + k });
        }
      });
      const first = places.get(address);
      const last = places.get(address + length - 1);
      const expected = first && last && first.region === last.region ? first.offset : -1;
      assert.equal(memoryOf(regions).translate(address, length), expected);
    },
  ));
});

Deno.test("reading copies, writing outside throws and changes nothing", () => {
  const memory = memoryOf(TWO);
  memory.write(8, new Uint8Array([1, 2, 3]));
  const copy = memory.read(8, 3);
  memory.write(8, new Uint8Array([9, 9, 9]));
  assert.deepEqual([...copy], [1, 2, 3]);
  assert.throws(() => memory.write(2 * PAGE - 2, new Uint8Array([7, 7, 7])), (error) => {
    assert(error instanceof GuestFault);
    assert.deepEqual([error.guestAddress, error.length], [2 * PAGE - 2, 3]);
    return true;
  });
  assert.deepEqual([...memory.read(2 * PAGE - 2, 2)], [0, 0]);
});

Deno.test("overlapping, empty and unreachable regions are refused", () => {
  const at = (guestAddress: number, size: number) => ({ guestAddress, size, windowOffset: 0 });
  assert.throws(() => memoryOf([at(0, PAGE), at(PAGE - 1, PAGE)]), RangeError);
  assert.throws(() => memoryOf([at(0, 0)]), RangeError);
  const buffer = new ArrayBuffer(1);
  const window = { buffer, view: new DataView(buffer) };
  assert.throws(() => new GuestMemory(window, [at(2 ** 53, 2)]), RangeError);
});

Deno.test("memory that may only be read has no place for writing", () => {
  const memory = memoryOf([
    { guestAddress: 0, size: PAGE, windowOffset: PAGE },
    { guestAddress: PAGE, size: PAGE, windowOffset: 4 * PAGE, writable: false },
  ]);
  assert.equal(memory.translate(8, 8, true), PAGE + 8);
  assert.equal(memory.translate(PAGE, 8), 4 * PAGE);
  assert.equal(memory.translate(PAGE, 8, true), -1);
  assert.throws(() => memory.write(PAGE, new Uint8Array(1)), GuestFault);
  assert.deepEqual(memory.regions.map(({ writable }) => writable), [true, false]);
});

Deno.test("regions come and go, and what is there agrees with a list", () => {
  // Pages from 0 to 40 of guest memory; a region may have up to five.
  const step = fc.record({
    page: fc.nat(40),
    size: fc.integer({ min: 0, max: 5 }),
    remove: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), fc.array(fc.nat(46)), (steps, asked) => {
    const memory = memoryOf([{ guestAddress: 100 * PAGE, size: PAGE, windowOffset: PAGE }]);
    memory.remove(100 * PAGE);
    let list: { guestAddress: number; size: number; windowOffset: number; writable: boolean }[] =
      [];
    for (const { page, size, remove } of steps) {
      const guestAddress = page * PAGE;
      if (remove) {
        const known = list.some((region) => region.guestAddress === guestAddress);
        const act = () => memory.remove(guestAddress);
        if (known) act();
        else assert.throws(act, RangeError);
        list = list.filter((region) => region.guestAddress !== guestAddress);
      } else {
        const region = {
          guestAddress,
          size: size * PAGE,
          windowOffset: (1 + page) * PAGE,
          writable: size % 2 === 0,
        };
        const end = guestAddress + region.size;
        const bad = size === 0 ||
          list.some((other) =>
            other.guestAddress < end && guestAddress < other.guestAddress + other.size
          );
        const act = () => memory.add(region);
        if (bad) assert.throws(act, RangeError);
        else {
          act();
          list.push(region);
        }
      }
      list.sort((a, b) => a.guestAddress - b.guestAddress);
      assert.deepEqual(memory.regions, list);
      for (const at of asked) {
        const address = at * PAGE + 17;
        const there = list.find((region) =>
          region.guestAddress <= address && address < region.guestAddress + region.size
        );
        assert.equal(memory.translate(address, 1), there ? address + PAGE : -1);
        assert.equal(memory.translate(address, 1, true), there?.writable ? address + PAGE : -1);
        assert.equal(memory.reach(address), there ? there.guestAddress + there.size - address : 0);
      }
    }
  }));
});
