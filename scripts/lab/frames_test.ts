import assert from "node:assert/strict";
import { decodeFrames, encodeFrame, encodeSpawn, type Frame, FrameType } from "./frames.ts";

async function decoded(chunks: Uint8Array[]): Promise<Frame[]> {
  return await Array.fromAsync(decodeFrames(ReadableStream.from(chunks)));
}

Deno.test("frames survive any way of being cut", async () => {
  const bytes = new Uint8Array([
    ...encodeFrame(FrameType.Stdout, 7, new Uint8Array([1, 2, 3])),
    ...encodeFrame(FrameType.Hello, 0),
    ...encodeFrame(FrameType.Exit, 0xffff_fff0, new Uint8Array([5, 0, 0, 0])),
  ]);
  for (let size = 1; size <= bytes.length; size++) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    const frames = await decoded(chunks);
    assert.deepEqual(frames.map(({ type, id, data }) => [type, id, [...data]]), [
      [FrameType.Stdout, 7, [1, 2, 3]],
      [FrameType.Hello, 0, []],
      [FrameType.Exit, 0xffff_fff0, [5, 0, 0, 0]],
    ]);
  }
});

Deno.test("what is cut off at the end is no frame", async () => {
  assert.deepEqual(
    await decoded([encodeFrame(FrameType.Stdout, 1, new Uint8Array(9)).subarray(0, 15)]),
    [],
  );
});

Deno.test("a command's words are laid out as agent.c reads them", () => {
  const bytes = encodeSpawn({
    command: ["echo", "a b"],
    cwd: "/tmp",
    env: { A: "1" },
    terminal: { rows: 25, columns: 80 },
    user: true,
  });
  const view = new DataView(bytes.buffer);
  assert.equal(view.getUint32(0, true), 3);
  assert.equal(view.getUint32(4, true), 25 * 65536 + 80);
  assert.equal(view.getUint32(8, true), 2);
  assert.equal(view.getUint32(12, true), 1);
  assert.equal(new TextDecoder().decode(bytes.subarray(16)), "/tmp\0echo\0a b\0A=1\0");
  assert.throws(
    () => encodeSpawn({ command: ["a\0b"], cwd: "/", env: {}, user: false }),
    RangeError,
  );
});
