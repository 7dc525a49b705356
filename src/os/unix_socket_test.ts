import assert from "node:assert/strict";
import { acceptUnix, connectUnix, listenUnix, peerOf, socketPair } from "./mod.ts";

Deno.test("a connection tells who made it", async () => {
  const me = { pid: Deno.pid, uid: Deno.uid(), gid: Deno.gid() };
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  assert.deepEqual(peerOf(a), me);
  const folder = await Deno.makeTempDir();
  try {
    using listener = listenUnix(`${folder}/s`);
    using _client = connectUnix(`${folder}/s`);
    using accepted = acceptUnix(listener);
    assert.ok(accepted !== undefined);
    assert.deepEqual(peerOf(accepted), me);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
