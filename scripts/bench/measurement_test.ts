import assert from "node:assert/strict";
import { compare, median, spread } from "./measurement.ts";
import { table } from "./table.ts";

Deno.test("median and spread", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.throws(() => median([]), RangeError);
  assert.equal(spread([90, 100, 120]), 0.3);
});

Deno.test("the table is aligned, a line per measurement", () => {
  const lines = table([
    compare("read 4 KiB", "IOPS", "more", [300_000, 310_000], { name: "peer", values: [61_000] }),
    compare("exits", "count", "less", [1234]),
  ]).split("\n");
  assert.deepEqual(lines, [
    "name        unit      ours    peer  peer's name  ratio  runs  spread",
    "read 4 KiB  IOPS   305,000  61,000  peer          5.00     2  3 % / 0 %",
    "exits       count    1,234       -  -                -     1  0 %",
  ]);
});
