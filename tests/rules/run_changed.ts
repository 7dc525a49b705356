// Has workers with another policy do all that they have to. Ends with 0 when they have done it, with 1 and the reason else.
//
// Arguments: the name of a load, a folder, the script of a worker, its policy as JSON.

import { payload } from "../../src/os/mod.ts";
import type { Policy } from "../../src/sandbox/mod.ts";
import { loads } from "../interop/soak/loads.ts";
import { exercise } from "../interop/soak/soak.ts";
import { changePolicy } from "./changed_policy.ts";

const [name, folder, script, changed] = Deno.args;
const policy = JSON.parse(changed) as Policy;
changePolicy(policy);
const path = `${folder}/device.js`;
const { device, ...parts } = payload();
const told = [
  `globalThis.spectrumPayload = ${JSON.stringify({ ...parts, device })};`,
  `globalThis.changedPolicy = ${changed};`,
];
Deno.writeTextFileSync(path, [...told, Deno.readTextFileSync(script)].join("\n"));
globalThis.spectrumPayload = { ...parts, device: [...device.slice(0, -1), path] };
const load = loads[name](folder);
try {
  await exercise(load, folder);
  console.log(JSON.stringify(load.counts));
  Deno.exit(0);
} catch (error) {
  console.log(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
