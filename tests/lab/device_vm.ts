import assert from "node:assert/strict";
import { guestScript } from "../../scripts/lab/mod.ts";
import { monitorFlags } from "../../src/os/mod.ts";
import { type Bench, fromSource } from "./machine.ts";
import { workDisk } from "./wl/work_disk.ts";

/** Seconds; a start of the runtime in a guest takes some. */
const LIMIT = 600;
const IMAGE = "/scratch/provided.img";

/** The device VM serves its third disk to `app` again and again. */
const DEVICE_VM = `
export HOME=/tmp DENO_DIR=/dev/null/deno DENO_NO_UPDATE_CHECK=1 XDG_RUNTIME_DIR=/run NO_COLOR=1
while :; do
  deno run ${
  monitorFlags.join(" ")
} /work/spectrum.js device blk --disk /dev/vdc --context app/disk0
  sleep 0.2
done
`;

/** Reads the whole disk, writes to it past the page cache, and reads that back. */
const APP = `
echo "@@before $(sha256sum </dev/vda)"
dd if=/dev/urandom of=/tmp/written bs=1M count=4 2>/dev/null
dd if=/tmp/written of=/dev/vda bs=64k seek=16 oflag=direct 2>/dev/null
sync
dd if=/dev/vda of=/tmp/read bs=4k skip=256 count=1024 iflag=direct 2>/dev/null
cmp /tmp/written /tmp/read && echo "@@same"
echo "@@after $(sha256sum </dev/vda)"
`;

/** A disk of one VM whose backend runs in another. */
export async function deviceVmTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "a disk is served from another VM", async (t) => {
    const { kernel, initrd, deno } = bench.guest;
    const { image } = await workDisk(bench, [], DEVICE_VM);
    const sum = async () => (await bench.sh(`sha256sum <${IMAGE}`)).stdout.trim();
    await bench.sh(`dd if=/dev/urandom of=${IMAGE} bs=1M count=16`);
    const before = await sum();
    const socket = (await bench.sh(`echo -n $XDG_RUNTIME_DIR/spectrum/app/disk0.sock`)).stdout;
    const run = (name: string, memory: string, script: string, flags: string[]) => [
      ...[...fromSource, "run", "--name", name, "--kernel", kernel, "--initrd", initrd],
      ...["--memory", memory, "--cmdline", `quiet ${guestScript(script)}`, ...flags],
    ];
    let output = "";
    const deviceVm = await bench.stage.spawn({
      command: run("diskvm", "384M", "sh /work/test.sh", [
        ...["--disk", `${deno},readonly`, "--disk", `${image},readonly`, "--disk", IMAGE],
        ...["--wl-socket", `app/disk0=${socket}`],
      ]),
      timeout: LIMIT,
      onOutput: (bytes) => output += new TextDecoder().decode(bytes),
    });
    const app = () =>
      bench.stage.run({
        command: run("app", "256M", APP, ["--disk", "vm=diskvm"]),
        timeout: LIMIT,
      });
    const word = (text: string, name: string) => new RegExp(`@@${name}(?: (.*?))?\r?\n`).exec(text);

    await t.step("an application VM that was there first reads and writes it", async () => {
      const { status, stdout, stderr } = await app();
      assert.equal(status, 0, stderr + stdout + output);
      assert.match(stderr, /waits for its backend in the VM "diskvm"/);
      assert.equal(word(stdout, "before")?.[1], before);
      assert.ok(word(stdout, "same"), stdout);
      assert.equal(word(stdout, "after")?.[1], await sum());
    });

    await t.step("the next one gets the same backend anew", async () => {
      const now = await sum();
      const { status, stdout, stderr } = await app();
      assert.equal(status, 0, stderr + stdout + output);
      assert.equal(word(stdout, "before")?.[1], now);
    });

    await deviceVm.signal(2);
    await deviceVm.status;
  });
}
