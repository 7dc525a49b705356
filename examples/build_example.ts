import { createHash } from "node:crypto";
import { join } from "node:path";
import { fetchDebianKernel, type Progress, smallKernel } from "../src/guest/mod.ts";
import { busyboxInitrd, execute } from "../scripts/lab/mod.ts";

/** Word of the kernel's command line that makes the guest check itself and power off. */
export const SELF_CHECK = "spectrum.selfcheck";

const DISK_SIZE = "64M";

const INIT = `
check() {
  uname -r
  echo "disk: sha256 $(sha256sum /dev/vda | cut -d' ' -f1)"
  end poweroff
}
grep -q ${SELF_CHECK} /proc/cmdline && check
hostname example
mount -t ext4 /dev/vda /data || echo "There is no disk at /dev/vda: /data is empty."
cat <<END

This is Linux $(uname -r) in a virtual machine of its own: $(nproc) CPU(s), started by spectrum.
What there is to try:

  ls -l /data                  the files of /dev/vda; a sandboxed process on the host serves them
  echo hello >/data/note       still there at the next start
  dd if=/dev/vda of=/dev/null bs=1M
  cat /proc/interrupts         the interrupt vectors of each device
  dd if=/dev/hwrng bs=16 count=1 | hexdump
  date; dmesg; top
  reboot, poweroff             the second ends the machine; so does Ctrl-A x from outside

END
cd /data
export PS1='example:\\w# '
shell
end poweroff
`;

const README =
  `This file is on the example's disk: an ext4 image on the host, /dev/vda in the guest.

Each read and write goes from the guest's queue straight to a process on the host that can do nothing but serve this
image: it has no permission to open a file or a socket. Whatever you write here is kept for the next start.
`;

/** The files of the example VM. */
export interface Example {
  /** What a configuration calls the kernel, and what `uname -r` prints. */
  readonly kernel: { readonly name: "small" | "debian"; readonly version: string };
  readonly initrd: string;
  /** An ext4 image; the guest writes to it. */
  readonly disk: string;
}

/**
 * Makes what the example VM needs, where it is not there from before: our small kernel if it was built, else Debian's, an
 * initial RAM disk with busybox, and a disk with a few files.
 */
export async function buildExample(cacheDir: string, progress: Progress): Promise<Example> {
  const kernel = await smallKernel(cacheDir) ?? await fetchDebianKernel(cacheDir, progress);
  const modulesDir = "modulesDir" in kernel ? kernel.modulesDir : undefined;
  const directory = join(cacheDir, "example");
  await Deno.mkdir(directory, { recursive: true });
  const initrd = await busyboxInitrd(INIT, modulesDir);
  const key = createHash("sha256").update(initrd).digest("hex").slice(0, 16);
  const path = join(directory, `initrd-${key}.cpio`);
  if (!await exists(path)) {
    for await (const entry of Deno.readDir(directory)) {
      if (entry.name.startsWith("initrd-")) await Deno.remove(join(directory, entry.name));
    }
    await Deno.writeFile(`${path}.${Deno.pid}`, initrd);
    await Deno.rename(`${path}.${Deno.pid}`, path);
  }
  return {
    kernel: { name: modulesDir === undefined ? "small" : "debian", version: kernel.version },
    initrd: path,
    disk: await exampleDisk(directory, progress),
  };
}

async function exampleDisk(directory: string, progress: Progress): Promise<string> {
  const path = join(directory, "data.img");
  if (await exists(path)) return path;
  progress("making the example's disk, 64 MiB");
  const staging = await Deno.makeTempDir({ dir: directory, prefix: ".data-" });
  try {
    const files = join(staging, "files");
    await Deno.mkdir(files);
    await Deno.writeTextFile(join(files, "README"), README);
    // Something to read that is not all alike, the same each time.
    const noise = new Uint8Array(8 << 20);
    let state = 1;
    for (let i = 0; i < noise.length; i++) {
      state = (Math.imul(state, 1103515245) + 12345) | 0;
      noise[i] = state >>> 16;
    }
    await Deno.writeFile(join(files, "noise"), noise);
    const image = join(staging, "image");
    await execute("mke2fs", [
      ...[
        "-q",
        "-t",
        "ext4",
        "-L",
        "example",
        "-E",
        "root_owner=0:0",
        "-d",
        files,
        image,
        DISK_SIZE,
      ],
    ]);
    await Deno.rename(image, path);
  } finally {
    await Deno.remove(staging, { recursive: true });
  }
  return path;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
