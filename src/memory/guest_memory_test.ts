import assert from "node:assert/strict";
import fc from "fast-check";
import { GuestFault, GuestMemory } from "./mod.ts";

const PAGE = 4096;

function memoryOf(regions: { guestAddress: number; size: number; windowOffset: number }[]) {
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
