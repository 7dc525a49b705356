import assert from "node:assert/strict";
import { PanicWatch } from "./panic_watch.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("a panic is found however the output is cut", () => {
  const output =
    "[ 1.0] x\r\n[ 2.0] Kernel panic - not syncing: sysrq triggered crash\r\n[ 2.1] CPU: 0\r\n";
  for (const step of [1, 3, 7, 1000]) {
    const watch = new PanicWatch();
    for (let at = 0; at < output.length; at += step) watch.see(bytes(output.slice(at, at + step)));
    assert.equal(watch.reason, "sysrq triggered crash");
  }
});

Deno.test("there is none where none was", () => {
  const watch = new PanicWatch();
  watch.see(bytes("Kernel panic - not"));
  watch.see(bytes(" syncing. Kernel command line: panic=-1\n"));
  assert.equal(watch.reason, undefined);
});

Deno.test("the guest's words cannot control a terminal", () => {
  const watch = new PanicWatch();
  watch.see(bytes("Kernel panic - not syncing: \x1b[2Jgone\u009b\n"));
  assert.match(watch.reason ?? "", /^\?\[2Jgone\?+$/);
});
