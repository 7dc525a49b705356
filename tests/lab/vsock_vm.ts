import assert from "node:assert/strict";
import { guestScript } from "../../scripts/lab/mod.ts";
import { monitorFlags } from "../../src/os/mod.ts";
import { type Bench, fromSource, RunningGuest } from "./machine.ts";
import { workDisk } from "./wl/work_disk.ts";

/** Seconds; the runtime starts five times in the device VM. */
const LIMIT = 300;
const CONNECTIONS = 20;
const BYTES = 3000;

/** Programs of the device VM, which reach the application VM and are reached from it. */
const SOCKETS = `
# Libraries are found here by links, which a root of a device's own would not have.
export HOME=/tmp DENO_DIR=/dev/null/deno DENO_NO_UPDATE_CHECK=1 NO_COLOR=1
run="deno run ${monitorFlags.join(" ")}"
$run /work/host.js echo /run/app.sock 6000 &
$run /work/spectrum.js guest serve --sandbox reduced &
until $run /work/host.js call /run/app.sock 5000 ${CONNECTIONS} ${BYTES}; do sleep 1; done 2>/dev/null
wait
`;

/** Sockets between the guests of two VMs: what one of them has for a host is the other. */
export async function vsockVmTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "a VM whose socket device another VM provides", async () => {
    const { kernel, initrd, deno } = bench.small;
    const { folder, image } = await workDisk(bench, ["vsock/host"], SOCKETS);
    const write = (name: string, text: string) =>
      bench.stage.run({ command: ["sh", "-c", `cat >${folder}/${name}`], stdin: text });
    await write(
      "sockvm.toml",
      `
kernel = "${kernel}"
initrd = "${initrd}"
cmdline = "quiet ${guestScript("sh /work/test.sh")}"
memory = "512M"
disk = [{ path = "${deno}", readonly = true }, { path = "${image}", readonly = true }]
provides = [{ to = "app", device = "vsock", kind = "vsock", path = "/run/app.sock", cid = 42 }]
`,
    );
    await write("app.toml", `name = "app"\nkernel = "unused"\nvsock.provider = "vm:sockvm"\n`);
    const other = new RunningGuest();
    other.process = await bench.stage.spawn({
      command: [...fromSource, "run", `${folder}/sockvm.toml`],
      timeout: LIMIT,
      onOutput: (bytes) => other.see(bytes),
    });
    const guest = await bench.start([`${folder}/app.toml`], bench.small, LIMIT);
    await guest.run("(vsock serve 5000 &)");
    await other.waitFor(`@@called ${CONNECTIONS}`);
    const called = await guest.run(`vsock call 6000 ${CONNECTIONS} ${BYTES}`);
    assert.match(called, /@called=0 of \d+ failed/, other.output);
    assert.equal(await guest.powerOff(), 0, guest.output);
    await other.process.signal(2);
    await other.process.status;
  });
}
