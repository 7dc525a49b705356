// A worker as small as can be: sets itself up, locks itself down, and reports what it still can do.
// Its standard output is where the report goes.

import { EventFd, useLibrary, Window } from "../../os/mod.ts";
import { escapeAttempts, lockDown, permissionsLeft } from "../mod.ts";

useLibrary("worker");
const window = Window.reserve();
const offset = window.allocate(4096);
window.mapAnonymous(offset, 4096);
const event = EventFd.create();
lockDown();
// What was loaded goes on working.
window.view.setUint32(offset, 7, true);
window.mapAnonymous(offset + 4096, 4096);
window.view.setUint32(offset + 4096, 8, true);
event.signal();
const works = event.drain() === 1 && window.view.getUint32(offset, true) === 7;
const report = { works, left: permissionsLeft(), attempts: await escapeAttempts() };
console.log(`REPORT ${JSON.stringify(report)} END`);
// Stays for the tests that look at it from outside, until it is killed.
if (Deno.args[0] === "stay") setInterval(() => {}, 1000);
