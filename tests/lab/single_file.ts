import assert from "node:assert/strict";
import type { Bench } from "./machine.ts";

/** `dist/spectrum`, copied alone into an empty folder, boots the same guest. */
export async function singleFileTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(
    t,
    "dist/spectrum alone in a folder boots, and guest and host see the same disk",
    async () => {
      await bench.sh(`
      mkdir -p /scratch/alone && cp dist/spectrum /scratch/alone/
      head -c 8M /dev/urandom >/scratch/random.img`);
      const script = `
      dd if=/dev/urandom of=/dev/vda bs=64k seek=8 count=16 2>/dev/null; sync
      echo "disk: sha256 $(sha256sum /dev/vda | cut -d' ' -f1)"`;
      const { status, stdout, stderr } = await bench.boot(
        script,
        ["--disk", "/scratch/random.img", "--rng"],
        { program: ["/scratch/alone/spectrum"], cwd: "/scratch/alone" },
      );
      assert.equal(status, 0, stderr + stdout);
      const [, guest] = /disk: sha256 ([0-9a-f]{64})/.exec(stdout) ?? [];
      const host = await bench.sh("sha256sum /scratch/random.img; ls /scratch/alone");
      assert.equal(guest, host.stdout.slice(0, 64));
      assert.match(host.stdout, /\nspectrum\n$/);
    },
  );
}
