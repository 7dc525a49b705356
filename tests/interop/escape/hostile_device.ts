// Hostile code in a device's place: it comes as far as a device does, and then tries all that it can think of.
//
// Arguments: the monitor's process id, a message queue of its, the native library's path, the rules of its filter as JSON.
// Descriptors: 1 what it reports on, 4 a file to read, 5 the attempts.

import { Fd, fileStat, filterCalls, useLibrary, Window, writeAll } from "../../../src/os/mod.ts";
import { type CallRule, compileFilter, lockDown } from "../../../src/sandbox/mod.ts";

const [monitor, queue, shim, rules] = Deno.args;
// One executable has its own.
globalThis.spectrumPayload ??= {
  ...{ shim, starter: "", vcpu: "", init: "", agent: "" },
  ...{ device: [], serve: [], command: [], selfContained: false },
};
useLibrary("worker");
const window = Window.reserve();
window.mapAnonymous(window.allocate(4096), 4096);
const report = Fd.inherited(1);
fileStat(report);
// deno-lint-ignore spectrum/no-raw-descriptor -- before the lock, as a device loads its own
const { symbols } = Deno.dlopen("/proc/self/fd/5", {
  prepare: { parameters: ["i32", "i32", "i32"], result: "void" },
  count: { parameters: [], result: "i32" },
  attempt: { parameters: ["i32"], result: "i32" },
  name: { parameters: ["i32", "buffer", "i32"], result: "void" },
});
symbols.prepare(4, Number(monitor), Number(queue));
lockDown();
// Attempts are to go on: what kills a device is trapped here, by a handler that returns.
const calls = JSON.parse(rules) as readonly CallRule[];
const returns: CallRule = { calls: ["rt_sigreturn"], why: "the end of the handler" };
if (calls.length > 0) filterCalls(compileFilter([...calls, returns], "report"));
const buffer = new Uint8Array(64);
const results: [string, number][] = [];
for (let i = 0; i < symbols.count(); i++) {
  symbols.name(i, buffer, buffer.length);
  const name = new TextDecoder().decode(buffer.subarray(0, buffer.indexOf(0)));
  results.push([name, symbols.attempt(i)]);
}
writeAll(report, new TextEncoder().encode(JSON.stringify(results)));
Deno.exit(0);
