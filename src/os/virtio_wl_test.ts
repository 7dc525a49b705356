import assert from "node:assert/strict";
import { makeDoorbell, memfd, OsError, receiveVfds, sendVfds, VirtioWl } from "./mod.ts";

const failure = (code: string) => (error: unknown) => {
  assert.ok(error instanceof OsError, String(error));
  assert.equal(error.code, code);
  return true;
};

Deno.test("without the device: the path and why", () => {
  assert.throws(() => VirtioWl.open("/dev/wl-none"), /Cannot open \/dev\/wl-none: no such file/);
});

Deno.test("what is no device of Virtio Wayland refuses, and nothing is made of it", () => {
  // A plain file knows none of the requests.
  using wl = VirtioWl.open("/dev/null");
  assert.throws(() => wl.context("test"), failure("ENOTTY"));
  assert.throws(() => wl.memory(4096), failure("ENOTTY"));
  assert.throws(() => wl.pipe("read"), failure("ENOTTY"));
  assert.throws(() => wl.event(), failure("ENOTTY"));
  using file = memfd("none", 4096);
  assert.throws(() => sendVfds(file, new Uint8Array(1)), failure("ENOTTY"));
  assert.throws(() => receiveVfds(file, new Uint8Array(1)), failure("ENOTTY"));
  assert.equal(makeDoorbell(file), false);
});

Deno.test("names and sizes are checked before the driver sees them", () => {
  using wl = VirtioWl.open("/dev/null");
  assert.throws(() => wl.context(""), RangeError);
  assert.throws(() => wl.context("a\0b"), RangeError);
  assert.throws(() => wl.context("ä".repeat(17)), /cannot be the name of a context: 1 to 32 bytes/);
  assert.throws(() => wl.memory(0), RangeError);
  assert.throws(() => wl.memory(2 ** 32), RangeError);
  using file = memfd("none", 4096);
  assert.throws(() => sendVfds(file, new Uint8Array(1), Array(29).fill(file)), RangeError);
});
