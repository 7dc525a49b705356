import assert from "node:assert/strict";
import { openFile } from "../os/mod.ts";
import { DirectImage, lockImage } from "./image_lock.ts";

const forEver = new AbortController().signal;

async function withImage(body: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile();
  try {
    await body(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("a worker gets its disk when nothing of the one before is under way", async () => {
  await withImage(async (path) => {
    using file = openFile(path, { write: true });
    assert.ok(lockImage(file, false));
    const image = new DirectImage(file);
    // Stands for a request: what the kernel has in hand holds the open file.
    using request = await image.open(forEver);
    let isThere = false;
    const next = image.open(forEver).finally(() => isThere = true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(!isThere && image.isWaiting);
    request[Symbol.dispose]();
    using _ = await next;
    assert.ok(!image.isWaiting);
  });
});

Deno.test("the wait for a disk can be ended", async () => {
  await withImage(async (path) => {
    using file = openFile(path);
    const image = new DirectImage(file);
    using _request = await image.open(forEver);
    const reason = new Error("enough");
    await assert.rejects(image.open(AbortSignal.abort(reason)), reason);
    assert.ok(!image.isWaiting);
  });
});

Deno.test("what a killed monitor's worker has under way keeps the image", async () => {
  await withImage(async (path) => {
    using former = openFile(path, { write: true });
    using request = await new DirectImage(former).open(forEver);
    using next = openFile(path, { write: true });
    assert.equal(lockImage(next, false), false);
    request[Symbol.dispose]();
    assert.ok(lockImage(next, false));
  });
});
