import assert from "node:assert/strict";
import { LabUsageError, parseArguments } from "./options.ts";

Deno.test("options end at the command, whose own options are its own", () => {
  const parsed = parseArguments(["--user", "--memory", "4096", "ls", "--memory", "-l"]);
  assert.ok(parsed !== "help");
  assert.deepEqual(parsed.command, ["ls", "--memory", "-l"]);
  assert.equal(parsed.memory, 4096);
  assert.equal(parsed.user, true);
  assert.equal(parsed.cpus, undefined);
});

Deno.test("-- ends options, too", () => {
  const parsed = parseArguments(["--keep", "--", "--strange"]);
  assert.ok(parsed !== "help");
  assert.deepEqual(parsed.command, ["--strange"]);
});

Deno.test("what is wrong is said", () => {
  assert.throws(() => parseArguments([]), /Which command/);
  assert.throws(() => parseArguments(["--cpus"]), /--cpus needs a value/);
  assert.throws(() => parseArguments(["--cpus", "two", "ls"]), /--cpus needs a number, not "two"/);
  assert.throws(() => parseArguments(["--colour", "ls"]), LabUsageError);
  assert.equal(parseArguments(["--help"]), "help");
});
