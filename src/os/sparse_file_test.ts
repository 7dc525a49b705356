import assert from "node:assert/strict";
import { fileStat, memfd, openFile, truncate, Window } from "./mod.ts";
import { fillPages, savePages } from "./sparse_file.ts";

Deno.test("memory becomes a sparse file, and memory again; what is zero or untouched takes no room", async () => {
  const window = Window.reserve(2 ** 32);
  const size = 64 * 2 ** 20;
  const path = Deno.makeTempFileSync();
  try {
    using memory = memfd("memory", size);
    const at = window.allocate(size);
    window.mapFd(at, size, memory, 0);
    const bytes = window.bytes(at, size);
    const touched = [0, 4096 * 3 + 17, 2 ** 20 * 5, size - 1];
    for (const place of touched) bytes[place] = 1 + place % 200;
    bytes[4096 * 1000] = 0;
    using file = openFile(path, { write: true });
    truncate(file, size);
    const half = size / 2;
    const saved = await savePages(file, memory, at, 0, half) +
      await savePages(file, memory, at, half, size);
    assert.equal(saved, touched.length * 4096);
    assert.ok((Deno.statSync(path).blocks ?? 0) * 512 < 2 ** 20);

    using copy = memfd("copy", size);
    await Promise.all([fillPages(copy, file, 0, half), fillPages(copy, file, half, size)]);
    const there = window.allocate(size);
    window.mapFd(there, size, copy, 0);
    assert.deepEqual(window.bytes(there, size), bytes);
    assert.equal(fileStat(copy).size, size);

    truncate(file, half);
    await fillPages(copy, file, 0, size);
    await assert.rejects(savePages(file, memory, 2 ** 33, 0, size), { code: "EINVAL" });
  } finally {
    Deno.removeSync(path);
  }
});
