// A process with the filter of a source of random numbers, which then does what only Virtio Wayland may: it makes a pipe.
// With `wait` it does nothing.

import { pipe, useLibrary } from "../../os/mod.ts";
import { lockDown } from "../../sandbox/mod.ts";
import { rngPolicy } from "../rng/policy.ts";

useLibrary("worker");
lockDown(rngPolicy.calls, Deno.args[0] === "report" ? "report" : "kill");
console.log("locked");
if (Deno.args[0] === "wait") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
pipe();
console.log("there is a pipe");
Deno.exit(0);
