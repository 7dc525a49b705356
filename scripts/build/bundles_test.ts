import assert from "node:assert/strict";
import { root } from "../root.ts";
import { build } from "./mod.ts";

const bundles = ["spectrum.js", "device.js", "vcpu.js"];

Deno.test("a device worker stays small: its size is its time to start", async () => {
  await build(["device.js"]);
  const { size } = await Deno.stat(`${root}build/device.js`);
  assert.ok(size < 200 * 1024, `${size} bytes`);
});

Deno.test("no bundle looks at a global of Node", async () => {
  await build(bundles);
  for (const name of bundles) {
    const text = await Deno.readTextFile(`${root}build/${name}`);
    assert.doesNotMatch(text, /globalThis\.(process|Buffer)\b/, name);
  }
});
