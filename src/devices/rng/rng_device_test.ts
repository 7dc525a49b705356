import assert from "node:assert/strict";
import { DeviceBench } from "../testing.ts";
import { RngDevice } from "./mod.ts";

function bench() {
  const scene = new DeviceBench(new RngDevice());
  return { scene, driver: scene.driver() };
}

Deno.test("buffers are filled, pieces and all", () => {
  const { scene, driver } = bench();
  using _scene = scene;
  const { addresses } = driver.add([300, 1000]);
  driver.add([16]);
  scene.round();
  assert.deepEqual(driver.takeUsed().map((used) => used.written), [1300, 16]);
  const bytes = driver.bytes.slice(addresses[1], addresses[1] + 1000);
  // Of a thousand random bytes more than a hundred are different ones, but for a chance of nothing.
  assert(new Set(bytes).size > 100);
});

Deno.test("a request for too much gets a part, one for nothing gets nothing", () => {
  const { scene, driver } = bench();
  using _scene = scene;
  driver.add([40_000, 40_000]);
  driver.add([new Uint8Array([1])]);
  scene.round();
  assert.deepEqual(driver.takeUsed().map((used) => used.written), [65536, 0]);
});
