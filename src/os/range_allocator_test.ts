import assert from "node:assert/strict";
import fc from "fast-check";
import { RangeAllocator } from "./range_allocator.ts";

Deno.test("hands out aligned ranges, lowest first", () => {
  const ranges = new RangeAllocator(16, 1024, 16);
  assert.equal(ranges.allocate(1), 16);
  assert.equal(ranges.allocate(16, 256), 256);
  assert.equal(ranges.allocate(17), 32);
});

Deno.test("refuses what does not fit, and double frees", () => {
  const ranges = new RangeAllocator(0, 64, 16);
  const first = ranges.allocate(64);
  assert.throws(() => ranges.allocate(1), RangeError);
  ranges.free(first, 64);
  assert.throws(() => ranges.free(first, 16), RangeError);
  for (const bad of [0, -1, NaN, 1.5]) assert.throws(() => ranges.allocate(bad), RangeError);
});

Deno.test("never hands out a byte twice, and merges everything back", () => {
  const step = fc.record({ length: fc.integer({ min: 1, max: 100 }), free: fc.nat(5) });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const ranges = new RangeAllocator(0, 4096, 16);
    const held: { start: number; length: number }[] = [];
    for (const { length, free } of steps) {
      if (free < held.length) {
        const [gone] = held.splice(free, 1);
        ranges.free(gone.start, gone.length);
      }
      let start: number;
      try {
        start = ranges.allocate(length);
      } catch {
        continue;
      }
      const end = start + Math.ceil(length / 16) * 16;
      for (const other of held) {
        assert(start >= other.start + other.length || end <= other.start);
      }
      held.push({ start, length });
    }
    for (const { start, length } of held) ranges.free(start, length);
    assert.equal(ranges.allocate(4096), 0);
  }));
});
