import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { payload } from "../../os/mod.ts";
import { deviceImage } from "./device_image.ts";

Deno.test("a device VM runs the bundle of workers that the host runs, and its image is made once", async () => {
  const cache = await Deno.makeTempDir();
  try {
    const path = await deviceImage(cache);
    const bundle = wholeBlocks(await Deno.readFile(payload().device.at(-1) ?? ""));
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

const BLOCK = 4096;

/** The end of a file may lie elsewhere than the rest of it. */
function wholeBlocks(file: Uint8Array): Uint8Array {
  return file.subarray(0, file.length - file.length % BLOCK);
}

/** What is as long as a file and begins like it: files of an image lie in its blocks. */
function candidates(file: Uint8Array, image: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let at = 0; at + file.length <= image.length; at += BLOCK) {
    const data = image.subarray(at, at + file.length);
    if (file.subarray(0, 64).every((byte, i) => data[i] === byte)) found.push(data);
  }
  return found;
}
