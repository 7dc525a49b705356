import assert from "node:assert/strict";
import { join } from "node:path";
import { listenUnix } from "../os/mod.ts";
import { isRunning, listDirectory, readRecord, RuntimeDir } from "./runtime_dir.ts";

function inFolder(name: string, body: (base: string) => void): void {
  Deno.test(name, () => {
    const base = Deno.makeTempDirSync();
    try {
      body(base);
    } finally {
      Deno.removeSync(base, { recursive: true });
    }
  });
}

inFolder("what a killed VM left is removed by the next of its name", (base) => {
  const path = join(base, "vm");
  Deno.mkdirSync(join(path, "deep"), { recursive: true });
  Deno.writeTextFileSync(join(path, "lock"), "");
  Deno.writeTextFileSync(join(path, "vm.json"), "{");
  listenUnix(join(path, "control.sock"))[Symbol.dispose]();
  assert.equal(isRunning(path), false);
  assert.equal(readRecord(path), undefined);
  {
    using runtime = RuntimeDir.claim("vm", base);
    assert.equal(isRunning(runtime.path), true);
    assert.deepEqual([...Deno.readDirSync(path)].map(({ name }) => name).sort(), [
      "lock",
      "vm.json",
    ]);
    assert.throws(() => RuntimeDir.claim("vm", base), /runs already \(process \d+\)/);
  }
  assert.deepEqual(listDirectory(base), []);
});

inFolder("a directory that is kept loses its sockets, and its name is free", (base) => {
  {
    using runtime = RuntimeDir.claim("vm", base);
    listenUnix(join(runtime.path, "control.sock"))[Symbol.dispose]();
    Deno.writeTextFileSync(join(runtime.path, "log"), "words");
    runtime.record({ outcome: { kind: "off" } });
    runtime.keep();
  }
  const path = join(base, "vm");
  assert.equal(isRunning(path), false);
  assert.deepEqual(readRecord(path)?.outcome, { kind: "off" });
  assert.deepEqual([...Deno.readDirSync(path)].map(({ name }) => name).sort(), [
    "lock",
    "log",
    "vm.json",
  ]);
  using _again = RuntimeDir.claim("vm", base);
});

inFolder("a directory that somebody removed under a VM is no error at its end", (base) => {
  using runtime = RuntimeDir.claim("vm", base);
  Deno.removeSync(runtime.path, { recursive: true });
  // The name is free, and not taken away from its new owner.
  using next = RuntimeDir.claim("vm", base);
  runtime[Symbol.dispose]();
  assert.equal(isRunning(next.path), true, "the first took the second's directory");
});
