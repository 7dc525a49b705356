import assert from "node:assert/strict";
import { fileStat, memfd, openFile, Seal, seals, truncate } from "./mod.ts";

Deno.test("memory has its size for good", () => {
  using memory = memfd("name", 12288);
  assert.equal(fileStat(memory).size, 12288);
  assert.equal(seals(memory) & 7, Seal.Seal | Seal.Shrink | Seal.Grow);
  assert.throws(() => truncate(memory, 4096), { code: "EPERM" });
  assert.throws(() => truncate(memory, 16384), { code: "EPERM" });
});

Deno.test("memory without seals can change", () => {
  using memory = memfd("name", 4096, { seal: false });
  assert.equal(seals(memory) & 7, 0);
  truncate(memory, 8192);
  assert.equal(fileStat(memory).size, 8192);
});

Deno.test("a plain file has no seals to read", () => {
  using file = openFile("/etc/passwd");
  assert.throws(() => seals(file), { code: "EINVAL" });
});

Deno.test("memory is not executable", () => {
  using memory = memfd("name", 4096);
  assert.equal(fileStat(memory).mode & 0o111, 0);
});
