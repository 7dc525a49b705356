import assert from "node:assert/strict";
import { type Bench, fromSource, type GuestFiles } from "./machine.ts";

const GIB = 2 ** 30;

/** Boots of both kernels, and, with ours, which boots sooner, the ways in which a machine ends. */
export async function bootTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  for (const guest of [bench.small, bench.debian]) {
    await t.step(guest.version, (t) => kernelTests(t, bench, guest));
  }
  await machineTests(t, bench);
  await bench.step(t, "a triple fault ends the machine with a message and status 3", async () => {
    await bench.stage.run({
      command: ["sh", "-c", "base64 -d >/scratch/triple.elf"],
      stdin: encodeBase64(tripleFaultKernel()),
    });
    const { status, stderr } = await bench.stage.run({
      command: [...fromSource, "run", "--kernel", "/scratch/triple.elf"],
    });
    assert.equal(status, 3, stderr);
    assert.match(stderr, /triple fault/);
  });
}

async function kernelTests(t: Deno.TestContext, bench: Bench, guest: GuestFiles): Promise<void> {
  const isDebian = guest === bench.debian;
  await bench.step(
    t,
    "one vCPU and 256 MiB: knows the time, has what it was given, powers off",
    async () => {
      const clock = await bench.sh("date +%s");
      const { status, stdout, stderr } = await bench.boot(
        'echo "$(uname -r) cpus $(nproc) memory $(sed -n "s/MemTotal: *//p" /proc/meminfo) time $(date +%s)"; dmesg | grep -i "mmconfig\\|error"; echo "rng $(cat /sys/class/misc/hw_random/rng_current) $(head -c 16 /dev/hwrng | wc -c)"',
        ["--memory", "256M", "--rng"],
        { guest },
      );
      const after = await bench.sh("date +%s");
      assert.equal(status, 0, stderr + stdout);
      const [, version, cpus, kib, time] =
        /(\S+) cpus (\d+) memory (\d+) kB time (\d+)/.exec(stdout) ?? [];
      assert.deepEqual([version, cpus], [guest.version, "1"]);
      assert.ok(Number(kib) > 180_000 && Number(kib) < 262_144, `${kib} KiB`);
      assert.ok(
        Number(time) >= Number(clock.stdout) - 2 && Number(time) <= Number(after.stdout) + 2,
      );
      assert.match(stdout, /MMCONFIG at .* reserved (in|as) (ACPI motherboard resources|E820)/);
      assert.match(stdout, /rng virtio_rng\.0 16/);
      assert.doesNotMatch(stdout, /ACPI Error|ACPI BIOS Error/);
    },
  );

  await bench.step(
    t,
    "a root disk named in a TOML file, with Debian's kernel by an initrd of ours",
    async () => {
      await bench.sh(String.raw`
      cd /scratch && rm -rf root && mkdir -p root/bin root/sbin root/proc root/dev root/sys
      cp $(readlink -f $(command -v busybox)) root/bin/busybox
      cat >root/sbin/init <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox grep ' / ' /proc/mounts
/bin/busybox touch /mark && echo "can write"
/bin/busybox sync; /bin/busybox poweroff -f
END
      chmod +x root/sbin/init
      mke2fs -q -F -t ext4 -d root root.img 16M && truncate -s 1M other.img
      cat >rooted.toml <<'END'
kernel = "${isDebian ? "debian" : "small"}"
root = "disk1"
memory = "256M"
[[disk]]
path = "other.img"
[[disk]]
path = "root.img"
END`);
      const { status, stdout, stderr } = await bench.stage.run({
        command: [...fromSource, "run", "/scratch/rooted.toml"],
        timeout: 300,
      });
      assert.equal(status, 0, stderr + stdout);
      assert.match(stdout, /\/ ext4 rw/);
      assert.match(stdout, /can write/);
    },
  );
}

async function machineTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  await bench.step(
    t,
    "four vCPUs and 6 GiB across the PCI hole; a reboot stays in the process",
    async () => {
      const disk = "/scratch/reboot.img";
      await bench.sh(`rm -f ${disk} && truncate -s 1M ${disk}`);
      const script = `
      echo "cpus $(nproc) online $(cat /sys/devices/system/cpu/online) memory $(sed -n 's/MemTotal: *//p' /proc/meminfo)"
      boots=$(dd if=/dev/vda bs=1 count=1 2>/dev/null | tr '\\0' 0)
      echo "boots $boots"
      if [ "$boots" = 0 ]; then printf 1 | dd of=/dev/vda bs=512 conv=sync 2>/dev/null; sync; reboot; fi`;
      const { status, stdout, stderr } = await bench.boot(script, [
        ...["--memory", "6G", "--cpus", "4", "--disk", disk],
      ]);
      assert.equal(status, 0, stderr + stdout);
      assert.match(stdout, /boots 0[^]*boots 1/);
      const [, cpus, online, kib] = /cpus (\d+) online (\S+) memory (\d+) kB/.exec(stdout) ?? [];
      assert.deepEqual([cpus, online], ["4", "0-3"]);
      assert.ok(Number(kib) * 1024 > 5.7 * GIB && Number(kib) * 1024 < 6 * GIB, `${kib} KiB`);
      assert.match(stderr, /the guest resets/);
    },
  );

  await bench.step(
    t,
    "a panic ends the machine with its words and status 3; a virtio console",
    async () => {
      const { status, stdout, stderr } = await bench.boot(
        'echo "consoles $(cat /sys/class/tty/console/active)" >/dev/hvc0; sleep 1; echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger',
        ["--console-device", "virtio"],
      );
      assert.match(stdout, /consoles .*hvc0/, stdout + stderr);
      assert.equal(status, 3);
      assert.match(stderr, /the guest's kernel panicked: sysrq triggered crash/);
    },
  );
}

function encodeBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** A PVH kernel whose only code loads an empty interrupt table and raises an exception. */
function tripleFaultKernel(): Uint8Array {
  const LOAD = 0x10_0000;
  const code = [0x0f, 0x01, 0x1d, 0x20, 0x00, 0x10, 0x00, 0x0f, 0x0b]; // lidt [0x100020]; ud2
  const file = new Uint8Array(0x140);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, 62, true); // EM_X86_64
  view.setUint32(20, 1, true);
  view.setUint32(24, LOAD, true);
  view.setUint32(32, 64, true); // program headers
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true);
  const segment = (at: number, type: number, offset: number, address: number, size: number) => {
    view.setUint32(at, type, true);
    view.setUint32(at + 4, 7, true);
    view.setUint32(at + 8, offset, true);
    view.setUint32(at + 16, address, true);
    view.setUint32(at + 24, address, true);
    view.setUint32(at + 32, size, true);
    view.setUint32(at + 40, size, true);
    view.setUint32(at + 48, 4, true);
  };
  segment(64, 1, 0x100, LOAD, 0x40); // PT_LOAD
  segment(120, 4, 0xc0, 0, 20); // PT_NOTE: XEN_ELFNOTE_PHYS32_ENTRY
  view.setUint32(0xc0, 4, true);
  view.setUint32(0xc4, 4, true);
  view.setUint32(0xc8, 18, true);
  file.set([0x58, 0x65, 0x6e, 0], 0xcc);
  view.setUint32(0xd0, LOAD, true);
  file.set(code, 0x100);
  return file;
}
