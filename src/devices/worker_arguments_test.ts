import assert from "node:assert/strict";
import { ArgumentError, WorkerArguments } from "./worker_arguments.ts";

Deno.test("kind, values and flags", () => {
  const args = new WorkerArguments(["blk", "--fd", "3", "--disk-fd", "4", "--readonly"]);
  assert.deepEqual([args.kind, args.number("--fd"), args.required("--disk-fd")], ["blk", 3, 4]);
  assert(args.has("--readonly"));
  assert.equal(args.number("--queues"), undefined);
});

Deno.test("what is wrong is named", () => {
  const cases: [string[], RegExp][] = [
    [[], /"" is no kind of device; there are: blk, rng, console/],
    [["toString"], /"toString" is no kind/],
    [["rng", "--disk-fd", "4"], /rng has no option --disk-fd/],
    [["rng", "constructor"], /rng has no option constructor/],
    [["blk", "--queues"], /--queues needs a value/],
  ];
  for (const [words, message] of cases) {
    assert.throws(() => new WorkerArguments(words), (error) => {
      assert(error instanceof ArgumentError);
      assert.match(error.message, message);
      return true;
    });
  }
  assert.throws(() => new WorkerArguments(["blk", "--fd", "x"]).number("--fd"), /not x/);
  assert.throws(() => new WorkerArguments(["blk"]).required("--disk-fd"), /blk needs --disk-fd/);
});
