import { join } from "node:path";
import type { Progress } from "../../src/guest/mod.ts";
import { execute } from "../../scripts/lab/mod.ts";

/** What the guest says when its default target is reached, before what systemd has to say. */
export const REPORT = "report: ";

/** Waits until every job of the boot is done, then says how it went, on the console. */
const REPORT_UNIT = `[Unit]
Description=Says on the console how the boot went
[Service]
Type=idle
ExecStart=/bin/sh -c 'state=$$(systemctl is-system-running --wait); \\
  failed=$$(systemctl list-units --failed --plain --no-legend | cut -d" " -f1 | xargs); \\
  echo "${REPORT}$$(uname -r) cpus $$(nproc) $$state failed=[$$failed]"'
StandardOutput=tty
TTYPath=/dev/console
`;

/** What nobody reads in a test. */
const LEFT_OUT = ["doc", "info", "locale", "man"].map((name) => `/usr/share/${name}/*`);

/**
 * An ext4 image with a minimal Debian and systemd, made by mmdebstrap, in a folder of the cache. Needs some 300 MB of it.
 *
 * @returns its path
 */
export async function debianRoot(cacheDir: string, progress: Progress): Promise<string> {
  const folder = join(cacheDir, "lab");
  const path = join(folder, "debian-root-1.img");
  try {
    await Deno.stat(path);
    return path;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  progress("making a Debian root file system with mmdebstrap");
  await Deno.mkdir(folder, { recursive: true });
  const temporary = await Deno.makeTempDir({ dir: folder, prefix: ".staging-" });
  try {
    const unit = join(temporary, "report.service"), image = join(temporary, "root.img");
    const bare = join(temporary, "bare");
    await Deno.writeTextFile(unit, REPORT_UNIT);
    await execute("mmdebstrap", [
      "--quiet",
      "--variant=minbase",
      "--include=systemd-sysv,udev,dbus,libpam-systemd,kmod",
      ...LEFT_OUT.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
      `--customize-hook=copy-in ${unit} /etc/systemd/system`,
      '--customize-hook=ln -s ../report.service "$1/etc/systemd/system/multi-user.target.wants/"',
      '--customize-hook=echo guest >"$1/etc/hostname"',
      '--customize-hook=echo "/dev/vda / ext4 defaults 0 1" >"$1/etc/fstab"',
      // Inside the hook every file has the owner that it shall have, also without root. The second mount of the root shows
      // what lies below /proc and /sys.
      `--customize-hook=mkdir ${bare} && mount --bind "$1" ${bare} && ` +
      `mke2fs -q -t ext4 -d ${bare} ${image} 500M; status=$?; umount ${bare}; exit $status`,
      "bookworm",
      "/dev/null",
    ]);
    await Deno.rename(image, path);
    return path;
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}
