import assert from "node:assert/strict";

Deno.test("a standard stream can become a file", async () => {
  const file = await Deno.makeTempFile();
  try {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        new URL("testdata/redirect.ts", import.meta.url).href,
        file,
      ],
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assert.deepEqual([text(stdout), text(stderr)], ["shown\n", ""]);
    assert.equal(await Deno.readTextFile(file), "kept\n");
  } finally {
    await Deno.remove(file);
  }
});
