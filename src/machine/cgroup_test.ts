import assert from "node:assert/strict";
import { join } from "node:path";
import { Cgroup } from "./cgroup.ts";
import { MachineError } from "./outcome.ts";

/** A tree of plain files: what the kernel would make is made here. */
class FakeTree implements Disposable {
  readonly root = Deno.makeTempDirSync({ prefix: "spectrum-cgroup-" });
  readonly proc = join(this.root, "self");

  constructor(own: string) {
    Deno.writeTextFileSync(this.proc, `12:pids:/x\n0::${own}\n`);
  }

  group(path: string, files: Readonly<Record<string, string>>): void {
    Deno.mkdirSync(join(this.root, path), { recursive: true });
    for (const [name, text] of Object.entries(files)) {
      Deno.writeTextFileSync(join(this.root, path, name), text);
    }
  }

  read(path: string): string {
    return Deno.readTextFileSync(join(this.root, path));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }
}

const around = (controllers: string, on: string) => ({
  "cgroup.controllers": controllers,
  "cgroup.subtree_control": on,
  "cgroup.procs": "",
});
const inside = {
  ...{ "cgroup.procs": "", "cpu.max": "max 100000", "memory.max": "max", "memory.oom.group": "0" },
  "cpu.stat": "usage_usec 2500000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 1500000\n",
  "memory.current": "4096\n",
};
const limits = { cpu: 1.5, memory: 2 ** 28 };

Deno.test("a group is made where the process is, with its limits, and left again", () => {
  using tree = new FakeTree("/own");
  tree.group("", around("cpu memory pids", "cpu memory"));
  tree.group("own", around("cpu memory", ""));
  tree.group("own/vm", inside);
  const group = Cgroup.enter("vm", limits, tree);
  assert.equal(tree.read("own/vm/cgroup.procs"), String(Deno.pid));
  assert.equal(tree.read("own/vm/cpu.max"), "150000 100000");
  assert.equal(tree.read("own/vm/memory.max"), String(2 ** 28));
  assert.equal(tree.read("own/vm/memory.oom.group"), "1");
  assert.equal(tree.read("own/cgroup.subtree_control"), "+memory");
  assert.deepEqual(group.info, {
    ...{ cpu: 1.5, memoryLimitBytes: 2 ** 28, memoryBytes: 4096 },
    ...{ cpuSeconds: 2.5, throttled: 4, throttledSeconds: 1.5 },
  });
  group[Symbol.dispose]();
  assert.equal(tree.read("own/cgroup.procs"), String(Deno.pid));
  assert.equal(tree.read("own/cgroup.subtree_control"), "-memory");
});

Deno.test("where the own group has not what it takes, the one around it may", () => {
  using tree = new FakeTree("/own");
  tree.group("", around("cpu memory", "cpu memory"));
  tree.group("own", around("memory", ""));
  tree.group("vm", inside);
  using group = Cgroup.enter("vm", { cpu: 0.0001 }, tree);
  assert.equal(group.path, join(tree.root, "vm"));
  assert.equal(tree.read("vm/cpu.max"), "1000 100000");
  assert.equal(tree.read("vm/memory.max"), "max");
});

Deno.test("where it cannot be, the reasons are said", () => {
  using tree = new FakeTree("/own");
  tree.group("", around("cpu", "cpu"));
  tree.group("own", around("cpu", ""));
  assert.throws(
    () => Cgroup.enter("vm", limits, tree),
    (error) =>
      error instanceof MachineError && /own: it has no controller memory; /.test(error.message),
  );
  assert.throws(
    () => Cgroup.enter("vm", limits, { root: "/nowhere", proc: tree.proc }),
    /no control groups of version 2 at \/nowhere/,
  );
});
