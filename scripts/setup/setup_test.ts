import assert from "node:assert/strict";
import { installCommand } from "./install.ts";
import { needs } from "./needs.ts";

Deno.test("there is one command to install everything that is missing", () => {
  const steps = "apt-get update && apt-get install -y --no-install-recommends fio gcc";
  assert.equal(installCommand(["fio", "gcc"], true), `sudo sh -c '${steps}'`);
  assert.equal(installCommand(["fio", "gcc"], false), `su -c '${steps}'`);
});

Deno.test("every need says how its presence shows, and stands once", () => {
  for (const { programs = [], files = [], package: name } of needs) {
    assert.ok(programs.length + files.length > 0, name);
  }
  assert.equal(new Set(needs.map((need) => need.package)).size, needs.length);
});
