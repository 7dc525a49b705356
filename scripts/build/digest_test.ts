import assert from "node:assert/strict";
import { relative } from "node:path";
import { root } from "../root.ts";
import { digest } from "./digest.ts";

Deno.test("a product is stale when a source or its recipe changes, and at no other time", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const write = (name: string, text: string) => Deno.writeTextFile(`${folder}/${name}`, text);
    const now = (recipe = "a") => digest(recipe, [relative(root, folder)]);
    await Deno.mkdir(`${folder}/inner`);
    await write("inner/a.ts", "1");
    await write("b.c", "2");
    const first = now();
    await write("a_test.ts", "a test");
    await write("notes.md", "text");
    await Deno.utime(`${folder}/b.c`, 0, 0);
    assert.equal(now(), first);
    assert.notEqual(now("b"), first);
    await write("b.c", "3");
    assert.notEqual(now(), first);
    await write("b.c", "2");
    assert.equal(now(), first);
    await Deno.rename(`${folder}/b.c`, `${folder}/c.c`);
    assert.notEqual(now(), first);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
