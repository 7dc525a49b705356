/**
 * A process that runs VMs of a few instructions, confined: whatever a monitor does while its guest runs, it does; what it
 * does not do is refused. Arguments: a folder, and a sandbox mode.
 */

import assert from "node:assert/strict";
import { ControlServer } from "../../src/control/mod.ts";
import { Log } from "../../src/machine/mod.ts";
import { TinyVm } from "../../src/machine/testing.ts";
import { connectUnix, listenUnix, openFile } from "../../src/os/mod.ts";
import { type SandboxMode, Starter } from "../../src/sandbox/mod.ts";

const [folder, sandbox] = Deno.args as [string, SandboxMode];
const disk = `${folder}/disk.img`;
Deno.writeFileSync(disk, new Uint8Array(65536));
const say = (what: string) => console.log(what);

/** The starter that the VM has, for what hostile code in a monitor would have it do. */
let starter: Starter | undefined;
const spawn = Starter.spawn;
Starter.spawn = (...how) => starter = spawn(...how);

/** A client in another process, which is served once it is let. */
const client = new Deno.Command(Deno.execPath(), {
  args: [
    "eval",
    `for (;;) try { (await Deno.connect({ transport: "unix", path: Deno.args[0] })).close(); break } ` +
    "catch { await new Promise((resolve) => setTimeout(resolve, 100)) }",
    `${folder}/spectrum/confined/control.sock`,
  ],
  stdout: "null",
}).spawn();
/** A socket that nobody told the starter of. */
using _other = listenUnix(`${folder}/other.sock`);
using nothing = openFile("/dev/null");

{
  const input = {
    ...{ name: "confined", cpus: 2, rng: {}, vsock: {} },
    disk: [{ path: disk }, { path: disk.replace("disk", "direct"), cache: "none" as const }],
  };
  Deno.writeFileSync(disk.replace("disk", "direct"), new Uint8Array(65536));
  await using tiny = await TinyVm.start(folder, input, { confined: Promise.resolve(), sandbox });
  const { vm } = tiny;
  await tiny.outputOf(1);
  const log = new Log({ format: "text", level: "error" });
  await using _server = new ControlServer(vm, { dir: vm.runtime.path, log });
  say("runs");
  await assert.rejects(
    async () => {
      const descriptors = [{ fd: nothing, as: 2 }];
      await starter?.start({ argv: ["/bin/true"], env: {}, descriptors });
    },
    { message: "Cannot start /bin/true: the request was refused (operation not permitted)" },
  );
  for (const path of ["/etc/passwd", "/proc/self/mem", disk, `${folder}/tiny.elf`]) {
    assert.throws(() => openFile(path), { code: "EACCES" }, path);
    await assert.rejects(Deno.open(path), Deno.errors.PermissionDenied, path);
  }
  assert.throws(() => Deno.writeTextFileSync(`${folder}/new`, ""), Deno.errors.PermissionDenied);
  assert.throws(() => starter?.paths.connect(`${folder}/other.sock`), { code: "EPERM" });
  // What the filter refuses would be its end in the other mode.
  if (sandbox === "full") {
    assert.throws(() => connectUnix(`${folder}/other.sock`), { code: "ENOSYS" });
  }
  say("is confined");
  await vm.pause();
  await vm.snapshot(`${folder}/saved`);
  await assert.rejects(vm.snapshot(`${folder}/saved`), /exists already/);
  await assert.rejects(vm.snapshot(`${folder}/none/saved`), {
    message: /^Cannot write the snapshot/,
  });
  await vm.resume();
  say("is saved");
  vm.reset();
  await tiny.outputOf(2);
  say("is reset");
  for (const device of ["disk0", "disk1", "vsock"]) await vm.restartDevice(device, 10_000);
  say("has other workers");
  assert.equal((await client.status).code, 0);
  say("is reached");
  await tiny.type("q");
  assert.deepEqual(await vm.outcome, { kind: "off" });
}
// Looked for by the entry that is left to it: the base of all VMs may be emptied, and no more.
assert.throws(() => Deno.lstatSync(`${folder}/spectrum/confined`), Deno.errors.NotFound);
say("is off");
