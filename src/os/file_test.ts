import assert from "node:assert/strict";
import {
  fileStat,
  isTerminal,
  openFile,
  openMode,
  read,
  truncate,
  write,
  writeAll,
} from "./mod.ts";

const path = Deno.makeTempFileSync();
globalThis.addEventListener("unload", () => Deno.removeSync(path));

Deno.test("says what a file is", () => {
  Deno.writeTextFileSync(path, "12345");
  using file = openFile(path, { write: true });
  const stat = fileStat(file);
  const expected = Deno.statSync(path);
  assert.equal(stat.size, 5);
  assert.equal(stat.isRegular, true);
  assert.equal(stat.isBlockDevice, false);
  assert.equal(stat.ino, expected.ino);
  assert.equal(stat.dev, expected.dev);
  assert.equal(stat.mode, expected.mode);
  truncate(file, 2 ** 40);
  assert.equal(fileStat(file).size, 2 ** 40);
});

Deno.test("knows how a file was opened", () => {
  using reading = openFile(path);
  assert.deepEqual(openMode(reading), { read: true, write: false, direct: false });
  using writing = openFile(path, { writeOnly: true });
  assert.deepEqual(openMode(writing), { read: false, write: true, direct: false });
  using both = openFile(path, { write: true });
  assert.deepEqual(openMode(both), { read: true, write: true, direct: false });
  assert.equal(write(reading, new Uint8Array(1)), -9);
});

Deno.test("flags of opening", () => {
  assert.throws(() => openFile(path, { create: true, exclusive: true }), { code: "EEXIST" });
  assert.throws(() => openFile(path, { directory: true }), { code: "ENOTDIR" });
  const link = `${path}.link`;
  Deno.symlinkSync(path, link);
  assert.throws(() => openFile(link, { noFollow: true }), { code: "ELOOP" });
  Deno.removeSync(link);
  using file = openFile(path, { write: true, truncate: true });
  writeAll(file, new TextEncoder().encode("abc"));
  using again = openFile(path, { writeOnly: true, append: true });
  writeAll(again, new TextEncoder().encode("def"));
  assert.equal(Deno.readTextFileSync(path), "abcdef");
  using reading = openFile(path);
  const buffer = new Uint8Array(4);
  assert.equal(read(reading, buffer), 4);
  assert.equal(new TextDecoder().decode(buffer), "abcd");
  assert.equal(read(reading, buffer), 2);
  assert.equal(read(reading, buffer), 0);
});

Deno.test("a terminal is told from a file", () => {
  using terminal = openFile("/dev/ptmx", { write: true });
  using file = openFile(path);
  assert.equal(isTerminal(terminal), true);
  assert.equal(isTerminal(file), false);
});
