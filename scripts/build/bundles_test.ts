import assert from "node:assert/strict";
import { root } from "../root.ts";
import { build, nodeImports } from "./mod.ts";

const bundles = ["spectrum.js", "device.js", "vcpu.js"];

Deno.test("no bundle loads a module of Node when it starts", async () => {
  await build(bundles);
  for (const name of bundles) {
    assert.deepEqual(nodeImports(await Deno.readTextFile(`${root}build/${name}`)), [], name);
  }
});

Deno.test("a device worker carries no parser of command lines or configurations", async () => {
  await build(["device.js"]);
  const text = await Deno.readTextFile(`${root}build/device.js`);
  for (const library of ["commander", "smol-toml", "toml-eslint-parser", "valibot"]) {
    assert.ok(!text.includes(`/${library}/`), library);
  }
});
