import assert from "node:assert/strict";
import { ExitStatus } from "./exit_status.ts";
import { main } from "./main.ts";

Deno.test("a number that is none is a mistake of the caller", async () => {
  const blk = ["device", "blk", "--disk", "/nowhere"];
  assert.equal(await main([...blk, "--fd", "x"]), ExitStatus.Usage);
  assert.equal(await main([...blk, "--fd", "3", "--queues", "many"]), ExitStatus.Usage);
  assert.equal(await main([...blk, "--fd", "3", "--queues", "65"]), ExitStatus.Usage);
});
