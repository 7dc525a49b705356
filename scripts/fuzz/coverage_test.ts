import assert from "node:assert/strict";
import { Coverage } from "./coverage.ts";

Deno.test("code is new until it ran, block by block", async () => {
  const coverage = await Coverage.begin();
  const { parseSize } = await import("../../src/config/mod.ts");
  await coverage.take();
  const novelty = async (text: string) => {
    parseSize(text);
    const trace = await coverage.take();
    const count = coverage.novelty(trace);
    coverage.add(trace);
    return count;
  };
  assert.ok(await novelty("1G") > 0);
  assert.equal(await novelty("2K"), 0);
  assert.ok(await novelty("nonsense") > 0);
  const { functions, ran, characters } = coverage.summary;
  assert.equal(functions, 1);
  assert.ok(ran > 0 && ran <= characters);
  coverage.forget();
  assert.ok(await novelty("1G") > 0);
});
