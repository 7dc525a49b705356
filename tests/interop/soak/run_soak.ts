// Keeps one kind of device at work, and prints what it has done.
//
// Arguments: the name of a load, a folder, seconds.

import { loads } from "./loads.ts";
import { soak } from "./soak.ts";

const [name, folder, seconds] = Deno.args;
using load = loads[name](folder);
await soak(load, { folder, milliseconds: 1000 * Number(seconds) });
console.log(JSON.stringify(load.counts));
Deno.exit(0);
