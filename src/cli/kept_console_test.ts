import assert from "node:assert/strict";
import { KeptConsole } from "./kept_console.ts";

Deno.test("a guest that prints for ever fills no disk", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/console.log`;
    using kept = new KeptConsole(path, 100);
    for (let i = 0; i < 25; i++) await kept.write(new TextEncoder().encode(`line ${100 + i}.\n`));
    const both = await Deno.readTextFile(`${path}.1`) + await Deno.readTextFile(path);
    assert.ok(both.length <= 200);
    assert.match(both, /^line 1\d\d\.\n[^]*line 123\.\nline 124\.\n$/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
