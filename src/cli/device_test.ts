import assert from "node:assert/strict";
import { ExitStatus } from "./exit_status.ts";
import { main } from "./main.ts";

Deno.test("a number that is none is a mistake of the caller", async () => {
  const blk = ["device", "blk", "--disk", "/nowhere"];
  assert.equal(await main([...blk, "--fd", "x"]), ExitStatus.Usage);
  assert.equal(await main([...blk, "--fd", "3", "--queues", "many"]), ExitStatus.Usage);
  assert.equal(await main([...blk, "--fd", "3", "--queues", "65"]), ExitStatus.Usage);
});

Deno.test("a device's jail is explained to who names no disk yet, and nothing is served", async () => {
  const log = console.log;
  const lines: string[] = [];
  console.log = (line: string) => lines.push(line);
  try {
    assert.equal(await main(["device", "blk", "--explain"]), ExitStatus.Ok);
  } finally {
    console.log = log;
  }
  assert.match(lines.join("\n"), /^The jail of blk\n[^]*io_uring_enter\n {6}requests to the disk/);
});
