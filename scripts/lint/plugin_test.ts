import assert from "node:assert/strict";
import { root } from "../root.ts";
import plugin from "./plugin.ts";

function findings(file: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, root + file, source).map(({ id }) => id);
}

Deno.test("a room imports from rooms below it by their mod.ts", () => {
  assert.deepEqual(findings("src/kvm/vm.ts", `import { Fd } from "../os/mod.ts";`), []);
  assert.deepEqual(findings("src/kvm/vm.ts", `import { x } from "./requests.ts";`), []);
  assert.deepEqual(findings("src/devices/blk/disk.ts", `import { x } from "../../os/mod.ts";`), []);
  assert.deepEqual(findings("main.ts", `import { main } from "./src/cli/mod.ts";`), []);
});

Deno.test("a room cannot import from one above it, in any form of import", () => {
  const upward = ["spectrum/downward-imports"];
  assert.deepEqual(findings("src/os/fd.ts", `import { x } from "../codec/mod.ts";`), upward);
  assert.deepEqual(findings("src/os/fd.ts", `import type { X } from "../kvm/mod.ts";`), upward);
  assert.deepEqual(findings("src/os/fd.ts", `export { x } from "../kvm/mod.ts";`), upward);
  assert.deepEqual(findings("src/os/fd.ts", `export * from "../kvm/mod.ts";`), upward);
  assert.deepEqual(findings("src/os/fd.ts", `await import("../kvm/mod.ts");`), upward);
});

Deno.test("files of another room are private to it, for scripts and tests, too", () => {
  const found = ["spectrum/downward-imports"];
  assert.deepEqual(findings("src/kvm/vm.ts", `import { Fd } from "../os/fd.ts";`), found);
  assert.deepEqual(
    findings("tests/lab/a_test.ts", `import { Fd } from "../../src/os/fd.ts";`),
    found,
  );
  assert.deepEqual(findings("scripts/a.ts", `import { x } from "../src/nowhere/mod.ts";`), found);
  const testing = `import { x } from "../control/testing.ts";`;
  assert.deepEqual(findings("src/cli/a.ts", testing), found);
  assert.deepEqual(findings("src/cli/a_test.ts", testing), []);
});

Deno.test("descriptor numbers and native libraries stay in src/os", () => {
  const found = ["spectrum/no-raw-descriptor"];
  assert.deepEqual(findings("src/os/fd.ts", `const n = fd.raw();`), []);
  assert.deepEqual(findings("src/kvm/vm.ts", `const n = fd.raw();`), found);
  assert.deepEqual(findings("src/kvm/vm.ts", `const s = String.raw\`a\`;`), []);
  assert.deepEqual(findings("tests/a_test.ts", `Deno.dlopen("libc.so.6", {});`), found);
  assert.deepEqual(findings("src/kvm/vm.ts", `const fd = Fd.own(3);`), found);
  assert.deepEqual(findings("src/kvm/vm.ts", `const n = fd.share().sharedDescriptor;`), found);
  assert.deepEqual(findings("src/kvm/vm.ts", `Fd.borrow({ sharedDescriptor: 3 });`), found);
  assert.deepEqual(findings("src/kvm/vm.ts", `Fd.borrow(event.share());`), []);
});

Deno.test("an owner that nobody disposes of is found", () => {
  const found = ["spectrum/using-owners"];
  const inFunction = (body: string) =>
    findings("src/vhost/a.ts", `async function f(fds, list) { ${body} }`);
  assert.deepEqual(inFunction(`const e = EventFd.create(); e.signal();`), found);
  assert.deepEqual(inFunction(`const vm = kvm.createVm(); vm.createIrqchip();`), found);
  assert.deepEqual(
    inFunction(`const p = new Poller(); fds.p = 1; fds = { p: 2 }; p.wait(0);`),
    found,
  );
  assert.deepEqual(findings("src/vhost/a.ts", `const e = EventFd.create(); e.signal();`), []);
  assert.deepEqual(inFunction(`using e = EventFd.create(); e.signal();`), []);
});

Deno.test("an owner that is dropped at once is found, and one of two", () => {
  const found = ["spectrum/using-owners"];
  const inFunction = (body: string) => findings("src/vhost/a.ts", `function f(list) { ${body} }`);
  assert.deepEqual(inFunction(`openFile("/dev/null");`), found);
  assert.deepEqual(inFunction(`fd.dup();`), found);
  assert.deepEqual(inFunction(`list.push(fd.move());`), []);
  assert.deepEqual(inFunction(`const [a, b] = socketPair(); using _a = a; b.share();`), found);
  assert.deepEqual(inFunction(`const [a, b] = socketPair(); using _a = a; using _b = b;`), []);
});

Deno.test("an owner that goes elsewhere is left alone", () => {
  const inFunction = (body: string) =>
    findings("src/vhost/a.ts", `async function f(fds, list) { ${body} }`);
  assert.deepEqual(inFunction(`const fd = memfd("x", 1); return fd;`), []);
  assert.deepEqual(inFunction(`const fd = memfd("x", 1); list.push(fd);`), []);
  assert.deepEqual(inFunction(`const fd = memfd("x", 1); return { fd };`), []);
  assert.deepEqual(inFunction(`const fd = memfd("x", 1); fd[Symbol.dispose]();`), []);
  assert.deepEqual(inFunction(`const fd = memfd("x", 1); take(fd.move());`), []);
  assert.deepEqual(inFunction(`const fd = memfd("x", 1); return () => list.use(fd);`), []);
});
