import assert from "node:assert/strict";
import { guestScript } from "../../scripts/lab/mod.ts";
import { monitorFlags } from "../../src/os/mod.ts";
import { type Bench, fromSource, RunningGuest } from "./machine.ts";
import { workDisk } from "./wl/work_disk.ts";

const SEED = Number(Deno.env.get("SPECTRUM_SEED") ?? Math.floor(Math.random() * 2 ** 31));
const LIMIT = 300;
const IMAGE = "/scratch/own.img";

/** In the device VM, in place of the program that it should run. */
const LIAR = `
export HOME=/tmp DENO_DIR=/dev/null/deno DENO_NO_UPDATE_CHECK=1 NO_COLOR=1
deno run ${monitorFlags.join(" ")} /work/hostile_backend.js app/disk0 ${SEED}
`;

/** In the application VM: looks at the disk of lies, while fio verifies the one that it has from its own host. */
const APP = `
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
  dd if=/dev/vda of=/dev/null bs=4k count=40 skip=$i iflag=direct 2>/dev/null &
  sleep 0.3
done
mount -t ext4 /dev/vdb /data && fio --name=v --directory=/data --rw=randrw --bs=4k --size=8M --iodepth=8 \
  --ioengine=libaio --direct=1 --verify=crc32c --do_verify=1 --verify_fatal=1 --minimal >/tmp/fio
echo "@@fio $?"
umount /data; sync
echo "@@disk $(sha256sum </dev/vdb)"
poweroff -f -n
`;

/** A device VM that lies to the VM whose disk it provides. */
export async function hostileDeviceVmTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "a device VM that lies harms nothing but its own device", async () => {
    console.log(`SPECTRUM_SEED=${SEED}`);
    const { kernel, initrd, deno, tools } = bench.small;
    const { folder, image } = await workDisk(bench, ["lab/wl/hostile_backend"], LIAR);
    const toml = `
kernel = "${kernel}"
initrd = "${initrd}"
cmdline = "quiet ${guestScript("sh /work/test.sh")}"
memory = "384M"
disk = [{ path = "${deno}", readonly = true }, { path = "${image}", readonly = true }]
provides = [{ to = "app", device = "disk0", kind = "blk", path = "/none" }]
`;
    const file = `${folder}/diskvm.toml`;
    await bench.stage.run({ command: ["sh", "-c", `cat >${file}`], stdin: toml });
    await bench.sh(`truncate -s 32M ${IMAGE} && mke2fs -q -F -t ext4 ${IMAGE}`);
    const liar = new RunningGuest();
    liar.process = await bench.stage.spawn({
      command: [...fromSource, "run", file],
      timeout: LIMIT,
      onOutput: (bytes) => liar.see(bytes),
    });
    await liar.waitFor("@@ready");
    const disks = ["--disk", "vm=diskvm", "--disk", IMAGE, "--disk", `${tools},readonly`];
    const { status, stdout, stderr } = await bench.stage.run({
      command: [...fromSource, ...bench.flags(["--name", "app", ...disks], guestScript(APP))],
      timeout: LIMIT / 2,
    });
    const all = stderr + stdout + liar.output;
    assert.equal(status, 0, all);
    assert.match(stdout, /@@fio 0\r?$/m, all);
    const [seen] = /(?<=@@disk )[0-9a-f]{64}/.exec(stdout) ?? [];
    assert.equal(seen, (await bench.sh(`sha256sum ${IMAGE}`)).stdout.slice(0, 64));
    assert.match(liar.output, /@@Error: enough lies/, all);
    assert.match(stderr, /disk0[^\n]*broke the protocol/, all);
    console.log(
      stderr.split("\n").filter((line) => line.includes("disk0")).slice(0, 12).join("\n"),
    );
    await liar.process.signal(2);
    await liar.process.status;
  });
}
