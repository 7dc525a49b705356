import assert from "node:assert/strict";
import { REPORT } from "./debian_root.ts";
import { type Bench, fromSource, RunningGuest } from "./machine.ts";

const SIGTERM = 15;

/** A distribution on the small kernel: Debian with systemd on an ext4 disk. */
export async function systemdTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  const { kernel, version } = bench.small;
  for (const cpus of [4]) {
    const name = `${cpus} vCPUs: the default target, no failed unit, the power button`;
    await bench.step(t, name, async () => {
      const disk = "/scratch/debian.img";
      await bench.sh(`cp --sparse=always ${bench.debianRoot} ${disk}`);
      const guest = new RunningGuest();
      guest.process = await bench.stage.spawn({
        command: [
          ...[...fromSource, "run", "--kernel", kernel, "--disk", disk, "--root", "disk0"],
          ...["--memory", "512M", "--cpus", `${cpus}`, "--cmdline", "quiet"],
        ],
        timeout: 600,
        onOutput: (bytes) => guest.see(bytes),
      });
      await guest.waitFor("failed=[");
      await guest.waitFor("]");
      const report = guest.output.slice(guest.output.indexOf(REPORT) + REPORT.length);
      assert.match(report, new RegExp(`^${version} cpus ${cpus} running failed=\\[\\]`));
      await guest.process.signal(SIGTERM);
      assert.equal(await guest.process.status, 0, guest.output);
      assert.match(guest.output, /reboot: Power down/);
    });
  }
}
