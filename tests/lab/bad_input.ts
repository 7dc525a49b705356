import assert from "node:assert/strict";
import { type Bench, fromSource } from "./machine.ts";

/** What is wrong, the flags, the exit status and the words of the error. */
type Case = readonly [what: string, flags: readonly string[], status: number, message: RegExp];

/** Every kind of bad input has its own clear error and exit status. */
export async function badInputTests(t: Deno.TestContext, bench: Bench): Promise<void> {
  // A bzImage: there is more to be wrong with it.
  const { kernel, initrd } = bench.debian;
  await bench.sh(`
    head -c 100000 ${kernel} >/scratch/short.bin
    printf 'name = "x"\\nkernel = "debian"\\nmemroy = "1G"\\n' >/scratch/typo.toml
    head -c 4096 /dev/zero | tr '\\0' x >/scratch/text.bin
    truncate -s 40M /scratch/large.cpio
    mkdir -p /scratch/folder
    cp ${kernel} /scratch/old.bin
    printf '\\0\\0' | dd of=/scratch/old.bin bs=1 seek=566 conv=notrunc 2>/dev/null`);
  const cases: readonly Case[] = [
    ["a kernel that is missing", ["--kernel", "/nowhere"], 1, /\/nowhere.*no such file/],
    ["a file that is no kernel", ["--kernel", "/scratch/text.bin"], 1, /text\.bin.*no kernel/],
    ["a 32-bit kernel", ["--kernel", "/scratch/old.bin"], 1, /old\.bin.*(32-bit|64-bit)/],
    ["a truncated kernel", ["--kernel", "/scratch/short.bin"], 1, /short\.bin.*truncated/],
    [
      "memory too small for the initrd",
      ["--kernel", kernel, "--initrd", "/scratch/large.cpio", "--memory", "64M"],
      1,
      /large\.cpio.*(fit|memory)/,
    ],
    [
      "an initrd that is missing",
      ["--kernel", kernel, "--initrd", "/nowhere"],
      1,
      /\/nowhere.*no such file/,
    ],
    [
      "a disk that is missing",
      ["--kernel", kernel, "--initrd", initrd, "--disk", "/nowhere.img"],
      1,
      /disk \/nowhere\.img: there is no such file/,
    ],
    [
      "a disk that is a folder",
      ["--kernel", kernel, "--disk", "/scratch/folder"],
      1,
      /disk \/scratch\/folder/,
    ],
    ["more vCPUs than possible", ["--kernel", kernel, "--cpus", "9"], 1, /cpus: at most 8/],
    ["an unknown key", ["/scratch/typo.toml"], 1, /typo\.toml:3: memroy: .*mean "memory"/],
    ["an unknown option", ["--kernal", "x"], 1, /unknown option.*--kernal/],
    ["no backend", ["--kernel", kernel, "--disk", "socket=/nowhere.sock"], 1, /no such socket/],
    ["no kernel named", [], 1, /kernel: this key is required/],
  ];
  for (const [what, flags, expected, message] of cases) {
    await bench.step(t, what, async () => {
      const { status, stderr } = await bench.stage.run({
        command: [...fromSource, "run", ...flags],
        timeout: 100,
      });
      assert.match(stderr.replaceAll("\n", " "), message);
      assert.equal(status, expected, stderr);
    });
  }

  await bench.step(t, "an ordinary user in the group kvm boots a VM", async () => {
    const { status, stdout, stderr } = await bench.boot("echo hello from $(uname -s)", [], {
      user: true,
    });
    assert.equal(status, 0, stderr + stdout);
    assert.match(stdout, /hello from Linux/);
  });

  await bench.step(t, "without permission on /dev/kvm, and without it", async () => {
    await bench.sh("chmod 600 /dev/kvm");
    const denied = await bench.boot("true", [], { user: true });
    await bench.sh("chmod 660 /dev/kvm; mv /dev/kvm /dev/kvm.away");
    const missing = await bench.boot("true");
    await bench.sh("mv /dev/kvm.away /dev/kvm");
    assert.match(denied.stderr, /\/dev\/kvm: permission denied\. Add yourself to the "kvm" group/);
    assert.equal(denied.status, 2);
    assert.match(missing.stderr, /Cannot open \/dev\/kvm: there is no such device/);
    assert.equal(missing.status, 2);
  });
}
