import { cpio, type CpioEntry, type ModuleChoice, moduleEntries } from "../../src/guest/mod.ts";
import { execute, findTool } from "./execute.ts";

/** Drivers of all the devices that our machines can have, and file systems, where the kernel has them as modules. */
const MODULES: ModuleChoice = {
  needed: ["virtio_pci", "virtio_blk", "virtio_console", "virtio_rng"],
  wanted: [
    ...["pvpanic-mmio", "virtio_net", "virtio_balloon", "vmw_vsock_virtio_transport", "virtiofs"],
    ...["virtio_input", "overlay", "erofs", "squashfs", "loop"],
  ],
};

/** Every init begins like this: mounts, then modules. */
const PROLOGUE = `#!/bin/sh
export PATH=/sbin:/bin:/usr/bin:/usr/sbin HOME=/root TERM=linux
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmp /tmp
[ -e /modules/order ] && while read -r module; do insmod "/modules/$module"; done </modules/order
end() {
  cd /
  kill -9 -1
  umount -a -r -t ext4 2>/dev/null
  busybox "$1" -f
}
# What busybox' poweroff and reboot tell process 1.
trap 'end poweroff' USR2
trap 'end reboot' TERM
# A shell on the console; a trap cannot run while a foreground command does.
shell() {
  setsid cttyhack sh "$@" </dev/console &
  wait $!
}
`;

/**
 * An initial RAM disk with busybox as its whole userland.
 *
 * @param init a shell script that goes on after the mounts and modules; it may use `shell` (runs one on the console) and
 *   `end poweroff`, `end reboot`
 * @param modulesDir of a kernel whose drivers are modules
 */
export async function busyboxInitrd(
  init: string,
  modulesDir: string | undefined,
  more: readonly CpioEntry[] = [],
): Promise<Uint8Array> {
  const text = (path: string, content: string, mode: number): CpioEntry => ({
    kind: "file",
    path,
    data: new TextEncoder().encode(content),
    mode,
  });
  const applets = (await execute("busybox", ["--list"])).trim().split("\n");
  return cpio([
    text("init", PROLOGUE + init, 0o755),
    { kind: "character", path: "dev/console", major: 5, minor: 1 },
    {
      kind: "file",
      path: "bin/busybox",
      data: await Deno.readFile(findTool("busybox")),
      mode: 0o755,
    },
    ...applets.filter((name) => name !== "busybox").map((name): CpioEntry => ({
      kind: "link",
      path: `bin/${name}`,
      target: "busybox",
    })),
    ...["proc", "sys", "tmp", "root", "data", "run", "mnt"].map((path): CpioEntry => ({
      kind: "directory",
      path,
    })),
    text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644),
    text("etc/group", "root:x:0:\n", 0o644),
    ...(modulesDir === undefined ? [] : await moduleEntries(modulesDir, MODULES)),
    ...more,
  ]);
}
