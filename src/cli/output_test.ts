import assert from "node:assert/strict";
import { duration, list, size, table } from "./output.ts";

Deno.test("columns are as wide as what is in them", () => {
  assert.equal(table(["A", "LONG"], [["first", "x"], ["b", ""]]), "A      LONG\nfirst  x\nb");
  assert.equal(list([["a", "1"], ["long", "2"]]), "a:    1\nlong: 2");
});

Deno.test("sizes have two digits at least", () => {
  assert.deepEqual(
    [0, 999, 1000, 2 ** 20, 131_096_576, 10 * 2 ** 30].map(size),
    ["0 B", "999 B", "1.0 KiB", "1.0 MiB", "125 MiB", "10.0 GiB"],
  );
});

Deno.test("time spans have their two largest units", () => {
  assert.deepEqual(
    [0.5, 59.9, 60, 3661, 90_000].map(duration),
    ["0 s", "59 s", "1 min 0 s", "1 h 1 min", "1 d 1 h"],
  );
});
