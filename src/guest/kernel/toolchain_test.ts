import assert from "node:assert/strict";
import { missingPackages } from "./toolchain.ts";

Deno.test("on a bare machine every package is missing", async () => {
  const path = Deno.env.get("PATH");
  Deno.env.set("PATH", "/nonexistent");
  try {
    assert.deepEqual(await missingPackages(), [
      "gcc",
      "binutils",
      "libc6-dev",
      "make",
      "flex",
      "bison",
      "bc",
      "libelf-dev",
      "lz4",
      "xz-utils",
    ]);
  } finally {
    if (path === undefined) Deno.env.delete("PATH");
    else Deno.env.set("PATH", path);
  }
});
