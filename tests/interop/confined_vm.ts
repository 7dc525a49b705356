/**
 * A process that runs VMs of a few instructions, confined: whatever a monitor does while its guest runs, it does.
 * Arguments: a folder, and a sandbox mode.
 */

import assert from "node:assert/strict";
import { ControlServer } from "../../src/control/mod.ts";
import type { SandboxMode } from "../../src/sandbox/mod.ts";
import { Log } from "../../src/machine/mod.ts";
import { TinyVm } from "../../src/machine/testing.ts";

const [folder, sandbox] = Deno.args as [string, SandboxMode];
const confined = { confined: true, sandbox };
const disk = `${folder}/disk.img`;
Deno.writeFileSync(disk, new Uint8Array(65536));
const say = (what: string) => console.log(what);

{
  const input = { name: "confined", cpus: 2, rng: {}, disk: [{ path: disk }] };
  await using tiny = await TinyVm.start(folder, input, confined);
  const { vm } = tiny;
  await tiny.outputOf(1);
  const log = new Log({ format: "text", level: "error" });
  await using _server = new ControlServer(vm, { dir: vm.runtime.path, log });
  say("runs");
  await vm.pause();
  await vm.snapshot(`${folder}/saved`);
  await vm.resume();
  say("is saved");
  vm.reset();
  await tiny.outputOf(2);
  say("is reset");
  await vm.restartDevice("disk0", 10_000);
  say("has another worker");
  await Deno.connect({ transport: "unix", path: `${vm.runtime.path}/control.sock` })
    .then((conn) => conn.close());
  say("is reached");
  await tiny.type("q");
  assert.deepEqual(await vm.outcome, { kind: "off" });
}
say("is off");
