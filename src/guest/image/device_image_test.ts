import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { payload } from "../../os/mod.ts";
import { deviceImage } from "./device_image.ts";

Deno.test("a device VM runs the bundle of workers that the host runs, and its image is made once", async () => {
  const cache = await Deno.makeTempDir();
  try {
    const path = await deviceImage(cache);
    const bundle = await Deno.readFile(payload().device.at(-1) ?? "");
    const image = new Uint8Array(await Deno.readFile(path));
    const sha = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");
    const inside = candidates(bundle, image).map(sha);
    console.log(`on the host      ${sha(bundle)}\nin the device VM ${inside.join(", ")}`);
    assert.ok(inside.includes(sha(bundle)));

    const { mtime, ino } = await Deno.stat(path);
    assert.equal(await deviceImage(cache), path);
    const again = await Deno.stat(path);
    assert.equal(again.ino, ino);
    assert.ok((again.mtime?.getTime() ?? 0) >= (mtime?.getTime() ?? 0));
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});

/** What is as long as a file and begins like it: files of an image lie whole in its blocks. */
function candidates(file: Uint8Array, image: Uint8Array): Uint8Array[] {
  const BLOCK = 4096;
  const found: Uint8Array[] = [];
  for (let at = 0; at + file.length <= image.length; at += BLOCK) {
    const data = image.subarray(at, at + file.length);
    if (file.subarray(0, 64).every((byte, i) => data[i] === byte)) found.push(data);
  }
  return found;
}
