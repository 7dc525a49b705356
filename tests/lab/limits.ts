import assert from "node:assert/strict";
import { type Bench, fromSource } from "./machine.ts";

/** Requests a second of the disk, and processors of the VM. */
const IOPS = 10;
const CPU = "60%";
const REQUESTS = 40;

/** What a VM may do, held by its worker and by its control group. */
export async function limitTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(t, "a VM does no more than its file allows", async (t) => {
    await bench.sh("truncate -s 16M /scratch/limited.img");
    const file = `
      [[disk]]
      path = "/scratch/limited.img"
      limit = { iops = ${IOPS}, burst = 0.5 }
      [limits]
      cpu = "${CPU}"
      overhead = "512M"
    `;
    await bench.sh(`cat >/scratch/limited.toml <<'END'\n${file}\nEND`);
    const flags = ["/scratch/limited.toml", "--name", "limited", "--memory", "128M"];
    const guest = await bench.start(flags);
    const info = async () => {
      const command = [...fromSource, "info", "limited", "--json"];
      const { status, stdout, stderr } = await bench.stage.run({ command, timeout: 300 });
      assert.equal(status, 0, stderr);
      return JSON.parse(stdout);
    };

    await t.step("its disk has so many requests a second, and says what waited", async () => {
      const took = await guest.run(
        `b=$(cut -d' ' -f1 /proc/uptime); dd if=/dev/vda of=/dev/null bs=4k count=${REQUESTS} iflag=direct 2>/dev/null; ` +
          "echo took $b $(cut -d' ' -f1 /proc/uptime)",
      );
      const [, from, to] = /took (\S+) (\S+)/.exec(took) ?? [];
      // A busy host makes it longer, never shorter.
      const least = (REQUESTS - IOPS * 0.5) / IOPS - 0.2;
      assert.ok(Number(to) - Number(from) >= least, `${took}, and not ${least} s`);
      const { devices } = await info();
      const { limit } = devices.find(({ name }: { name: string }) => name === "disk0");
      assert.equal(limit.operations, IOPS);
      const { throttled, throttledSeconds } = limit;
      assert.ok(
        throttled >= REQUESTS / 4 && throttledSeconds > least / 2,
        `${took}: ${JSON.stringify(limit)}`,
      );
    });

    await t.step("its processes have a share of the processor and of memory", async () => {
      await guest.run("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done");
      const { limits, devices } = await info();
      assert.equal(limits.cpu, 0.6);
      assert.equal(limits.memoryLimitBytes, (128 + 512) * 2 ** 20);
      assert.ok(limits.throttled > 0 && limits.throttledSeconds > 0 && limits.memoryBytes > 0);
      const { pid } = devices[0];
      const { stdout } = await bench.sh(
        `g=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/${pid}/cgroup); echo $g; cat $g/cpu.max $g/memory.max`,
      );
      assert.match(stdout, /spectrum-limited\n60000 100000\n671088640\n/);
      assert.equal(await guest.powerOff(), 0);
      const left = await bench.sh("ls -d /sys/fs/cgroup/*spectrum-limited* 2>/dev/null | wc -l");
      assert.equal(left.stdout.trim(), "0");
    });
  });
}
