import assert from "node:assert/strict";
import { join } from "node:path";
import { listenUnix } from "../os/mod.ts";
import { runtimeBase } from "./runtime_base.ts";
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

inFolder(
  "a link or a file in place of a directory is refused, and what it leads to stays",
  (base) => {
    const precious = join(base, "precious");
    Deno.mkdirSync(precious, { mode: 0o700 });
    Deno.writeTextFileSync(join(precious, "letter"), "Dear");
    Deno.symlinkSync(precious, join(base, "vm"));
    assert.throws(() => RuntimeDir.claim("vm", base), /vm is not a directory of yours/);
    assert.deepEqual([...Deno.readDirSync(precious)].map(({ name }) => name), ["letter"]);
    Deno.writeTextFileSync(join(base, "file"), "");
    assert.throws(() => RuntimeDir.claim("file", base), /file is not a directory of yours/);
    Deno.symlinkSync(base, join(precious, "base"));
    assert.throws(() => RuntimeDir.claim("new", join(precious, "base")), /base is not a directory/);
  },
);

inFolder("a place where others may write is refused; a VM's own directory is closed", (base) => {
  Deno.chmodSync(base, 0o770);
  assert.throws(() => RuntimeDir.claim("vm", base), /Others may write to .*chmod 700/);
  Deno.chmodSync(base, 0o700);
  Deno.mkdirSync(join(base, "vm"));
  Deno.chmodSync(join(base, "vm"), 0o755);
  using runtime = RuntimeDir.claim("vm", base);
  assert.equal((Deno.statSync(runtime.path).mode ?? 0) & 0o777, 0o700);
});

inFolder("a path that is too long for sockets is refused before anything is made", (base) => {
  const long = join(base, "x".repeat(94 - "/".length - "/abc".length - base.length));
  assert.throws(() => RuntimeDir.claim("app", join(long, "y")), /96 bytes.*room for 94.*shorter/);
  assert.deepEqual([...Deno.readDirSync(base)], []);
  using runtime = RuntimeDir.claim("abc", long);
  using _listening = listenUnix(join(runtime.path, "control.sock"));
});

inFolder("a runtime directory that is none is told", (base) => {
  const before = Deno.env.get("XDG_RUNTIME_DIR");
  try {
    Deno.env.set("XDG_RUNTIME_DIR", base);
    assert.equal(runtimeBase(), join(base, "spectrum"));
    Deno.writeTextFileSync(join(base, "spectrum"), "");
    assert.throws(runtimeBase, /spectrum: it is no directory\. Set XDG_RUNTIME_DIR/);
    Deno.env.set("XDG_RUNTIME_DIR", join(base, "spectrum"));
    assert.throws(runtimeBase, { name: "MachineError" });
  } finally {
    if (before === undefined) Deno.env.delete("XDG_RUNTIME_DIR");
    else Deno.env.set("XDG_RUNTIME_DIR", before);
  }
});
