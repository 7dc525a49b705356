import assert from "node:assert/strict";
import { monitorOnlySymbols, workerSymbols } from "./symbols.ts";

const run = async (code: string) => {
  const mod = JSON.stringify(import.meta.resolve("./mod.ts"));
  const source = `import * as os from ${mod};\n${code}`;
  const command = new Deno.Command(Deno.execPath(), { args: ["eval", "--no-lock", source] });
  const { stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  return text(stdout) || text(stderr);
};

const attempt = `
const attempt = (f) => { try { f(); return "allowed"; } catch (e) { return e.message; } };
`;

Deno.test("a worker has no functions of the monitor, and no way to them", async () => {
  const said = await run(`${attempt}
    os.useLibrary("worker");
    os.EventFd.create().signal();
    console.log(attempt(() => os.openFile("/etc/passwd")));
    console.log(attempt(() => os.connectUnix("/x")));
    console.log(attempt(() => os.useLibrary("monitor")));`);
  assert.deepEqual(said.split("\n"), [
    "A worker process has no such function",
    "A worker process has no such function",
    "This process has loaded the functions of a worker and gets no others",
  ]);
});

Deno.test("a process that prepares as a monitor can become a worker", async () => {
  const said = await run(`${attempt}
    const file = os.openFile("/etc/passwd");
    const window = os.Window.reserve(2 ** 36);
    const at = window.allocate(4096);
    window.mapAnonymous(at, 4096);
    os.useLibrary("worker");
    console.log(os.pread(file, at, 4, 0));
    console.log(attempt(() => os.openFile("/etc/passwd")));
    console.log(attempt(() => os.useLibrary("monitor")));`);
  assert.deepEqual(said.split("\n"), [
    "4",
    "A worker process has no such function",
    "This process has loaded the functions of a worker and gets no others",
  ]);
});

Deno.test("no function of a worker takes a path, makes a connection or calls the system at large", () => {
  const names = Object.keys(workerSymbols);
  const forbidden = /_open|connect|listen|ioctl|_exec|spawn|kick|mmap|socket|syscall|sp_lock/;
  assert.deepEqual(names.filter((name) => forbidden.test(name)), []);
  assert.deepEqual(Object.keys(monitorOnlySymbols).filter((name) => names.includes(name)), []);
});

Deno.test("addresses are never arguments", () => {
  for (const [name, symbol] of Object.entries({ ...workerSymbols, ...monitorOnlySymbols })) {
    const types: readonly string[] = symbol.parameters;
    assert.equal(types.includes("pointer"), false, name);
  }
});
