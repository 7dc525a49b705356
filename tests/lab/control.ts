import assert from "node:assert/strict";
import { type DrivenVm, DrivenVms } from "../../scripts/driven_vm.ts";
import { GUEST_READY } from "../../scripts/lab/mod.ts";
import type { Bench } from "./machine.ts";

/** By hand `SPECTRUM_PAUSE_SECONDS=600`. */
const PAUSE_SECONDS = Number(Deno.env.get("SPECTRUM_PAUSE_SECONDS") ?? 25);

/** Pause, resume, snapshot, restore, with a guest that works meanwhile. */
export async function controlTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  const vms = await DrivenVms.bring(bench.stage, 300 + PAUSE_SECONDS);
  const { kernel, initrd, tools } = bench.debian;
  await bench.sh(
    "rm -rf /scratch/snapshot; truncate -s 256M /scratch/c.img && mke2fs -q -F -t ext4 /scratch/c.img",
  );
  const disks = [{ path: "/scratch/c.img" }, { path: tools, readonly: true }];
  const input = { kernel, initrd, cmdline: "quiet", memory: "384M", cpus: 2, rng: {} };
  const first = await vms.start({ ...input, name: "saved", disk: disks });
  await first.seen(new RegExp(GUEST_READY));

  await t.step("100 pauses under disk load leave the data verified", async () => {
    await first.type("mkdir -p /data && mount -t ext4 /dev/vda /data");
    await first.type(
      "fio --name=v --directory=/data --rw=randrw --bs=4k --size=16M --numjobs=2 --iodepth=8 " +
        "--ioengine=libaio --direct=1 --verify=crc32c --do_verify=1 --verify_fatal=1 " +
        "--time_based --runtime=8 --group_reporting --minimal >/tmp/fio; echo fio-status-$?",
    );
    await first.order("cycles 100");
    assert.match(await first.seen(/fio-status-\d+/), /fio-status-0/);
  });

  let third: DrivenVm | undefined;
  await t.step(
    "a guest's loop goes on from its snapshot, twice, with its own random numbers",
    async () => {
      await first.type("umount /data; sync");
      await first.type(
        'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo "loop-$i-end"; sleep 0.2; done &',
      );
      await first.seen(/loop-5-end/);
      await first.order("pause");
      await first.order("snapshot /scratch/snapshot");
      const last = Number([...first.output.matchAll(/loop-(\d+)-end/g)].at(-1)?.[1]);
      await first.process.signal(9);
      await first.process.status;
      await bench.sh("cp --sparse=always /scratch/c.img /scratch/c2.img");
      const second = await vms.start({ name: "saved" }, "/scratch/snapshot");
      third = await vms.start({
        name: "other",
        disk: [{ path: "/scratch/c2.img" }, disks[1]],
      }, "/scratch/snapshot");
      const generations = new Set<string>();
      for (const vm of [second, third]) {
        const [, next] = /loop-(\d+)-end/.exec(await vm.seen(/loop-\d+-end/)) ?? [];
        assert.ok(Number(next) === last + 1 || Number(next) === last, `${last}, then ${next}`);
        await vm.type(
          "kill %1; mount -t ext4 /dev/vda /data && ls /data && echo mounted-it; " +
            "grep -i ged /proc/interrupts; " +
            // GENERATION_ID_ADDRESS, in units of its 16 bytes.
            "echo generation-$(dd if=/dev/mem bs=16 skip=65280 count=1 2>/dev/null | hexdump -ve '1/1 \"%02x\"'); " +
            "echo all-seen",
        );
        const shown = await vm.until(/all-seen\r?\n/);
        assert.match(shown, /v\.\d\.0[^]*mounted-it/);
        // Debian's cloud kernel has the event device, but not the driver that reseeds.
        assert.match(shown, /:( +\d+)+ .*20-edge +ACPI:Ged/);
        assert.doesNotMatch(shown, /: +0 +0 .*ACPI:Ged/, "the guest was not told");
        generations.add(/generation-([0-9a-f]{32})/.exec(shown)?.[1] ?? shown);
      }
      assert.equal(generations.size, 2, [...generations].join(" "));
      await second.type("poweroff");
      assert.equal(await second.process.status, 0, second.answers);
    },
  );

  await t.step(
    `a pause of ${PAUSE_SECONDS} s stops the guest's clock and no watchdog barks`,
    async () => {
      if (third === undefined) throw new Error("no VM was restored");
      const vm = third;
      const uptime = async () => {
        const mark = crypto.randomUUID();
        await vm.type(`echo "up $(cut -d' ' -f1 /proc/uptime) ${mark}"`);
        const [, seconds] =
          /up ([\d.]+) [0-9a-f-]{36}/.exec(await vm.seen(new RegExp(`up [\\d.]+ ${mark}`))) ??
            [];
        return Number(seconds);
      };
      const barks = async () => {
        await vm.type("dmesg | grep -iE 'stall|lockup|unstable|hung task'; echo barks-end");
        return (await vm.until(/barks-end\r?\n/)).split("\n").filter((line) =>
          /^\[ *\d+\.\d+\]/.test(line)
        );
      };
      // Some kernels say at boot what they think of a clock.
      const old = await barks();
      const before = await uptime();
      await vm.order("pause");
      await vm.order(`sleep ${PAUSE_SECONDS * 1000}`);
      await vm.order("resume");
      const after = await uptime();
      assert.ok(after - before < PAUSE_SECONDS / 2, `${before} s before, ${after} s after`);
      assert.deepEqual(await barks(), old);
      await vm.type("poweroff");
      assert.equal(await vm.process.status, 0, vm.answers);
    },
  );

  await t.step("what a killed monitor leaves blocks nobody", async () => {
    const { stdout } = await bench.sh(
      "ls $XDG_RUNTIME_DIR/spectrum; ps | grep -c '[d]evice.js\\|[s]pectrum-starter'",
    );
    assert.match(stdout, /^0\s*$/m, stdout);
  });
}
