/**
 * A process that runs VMs of a few instructions, confined: whatever a monitor does while its guest runs, it does.
 * Arguments: a folder, and a sandbox mode.
 */

import assert from "node:assert/strict";
import { ControlServer } from "../../src/control/mod.ts";
import { Log } from "../../src/machine/mod.ts";
import { TinyVm } from "../../src/machine/testing.ts";
import { openFile } from "../../src/os/mod.ts";
import { type SandboxMode, Starter } from "../../src/sandbox/mod.ts";

const [folder, sandbox] = Deno.args as [string, SandboxMode];
const confined = { confined: true, sandbox };
const disk = `${folder}/disk.img`;
Deno.writeFileSync(disk, new Uint8Array(65536));
const say = (what: string) => console.log(what);

/** The starter that the VM has, for what hostile code in a monitor would have it do. */
let starter: Starter | undefined;
const spawn = Starter.spawn;
Starter.spawn = (...how) => starter = spawn(...how);

async function startOther(): Promise<void> {
  using output = openFile("/dev/null");
  await starter?.start({ argv: ["/bin/true"], env: {}, descriptors: [{ fd: output, as: 2 }] });
}

{
  const input = { name: "confined", cpus: 2, rng: {}, disk: [{ path: disk }] };
  await using tiny = await TinyVm.start(folder, input, confined);
  const { vm } = tiny;
  await tiny.outputOf(1);
  const log = new Log({ format: "text", level: "error" });
  await using _server = new ControlServer(vm, { dir: vm.runtime.path, log });
  say("runs");
  await assert.rejects(startOther(), {
    message: "Cannot start /bin/true: the request was refused (operation not permitted)",
  });
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
