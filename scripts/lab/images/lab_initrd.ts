import { createHash } from "node:crypto";
import { join } from "node:path";
import { cpio, type CpioEntry, type GuestKernel, ModuleIndex } from "../../../src/guest/mod.ts";
import { findTool } from "../execute.ts";
import { labDir } from "./image.ts";

/** What the lab host loads at boot; everything else is one `modprobe` away. */
const MODULES = [
  "virtio_pci",
  "virtio_blk",
  "virtio_console",
  "overlay",
  "kvm",
  "kvm-amd",
  "virtio_rng",
];

/** The initial RAM disk of the lab host: loads modules, stacks the images into one root, starts the agent. */
export async function labInitrd(cacheDir: string, kernel: GuestKernel): Promise<string> {
  const index = await ModuleIndex.read(kernel.modulesDir);
  const modules = index.closure(MODULES);
  const init = new TextEncoder().encode(initScript(kernel));
  const key = createHash("sha256").update(JSON.stringify([kernel, modules])).update(init).digest(
    "hex",
  );
  const path = join(labDir(cacheDir), `initrd-${key.slice(0, 16)}.cpio`);
  try {
    await Deno.stat(path);
    return path;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const entries: CpioEntry[] = [
    { kind: "file", path: "init", data: init, mode: 0o755 },
    {
      kind: "file",
      path: "bin/busybox",
      data: await Deno.readFile(findTool("busybox")),
      mode: 0o755,
    },
    { kind: "link", path: "bin/sh", target: "busybox" },
    // The kernel opens it before /dev is mounted.
    { kind: "character", path: "dev/console", major: 5, minor: 1 },
    {
      kind: "file",
      path: "modules/order",
      data: new TextEncoder().encode(modules.join("\n") + "\n"),
    },
  ];
  for (const module of modules) {
    entries.push({
      kind: "file",
      path: `modules/${module}`,
      data: await Deno.readFile(join(kernel.modulesDir, module)),
    });
  }
  await Deno.mkdir(labDir(cacheDir), { recursive: true });
  const temporary = `${path}.${Deno.pid}`;
  await Deno.writeFile(temporary, cpio(entries));
  await Deno.rename(temporary, path);
  return path;
}

/** Disks are known by their serial: those called `layer…` become the root, from the lowest number up. */
function initScript(kernel: GuestKernel): string {
  return `#!/bin/sh
PATH=/bin
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /layers /new
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod /modules/$module; done </modules/order
want=$(sed 's/.*lab.disks=\\([0-9]*\\).*/\\1/' /proc/cmdline)
for try in $(seq 500); do
  [ "$(ls -d /sys/block/vd* 2>/dev/null | wc -l)" -ge "$want" ] && break
  usleep 10000
done
lower=
for disk in /sys/block/vd*; do
  name=$(cat $disk/serial)
  device=/dev/\${disk##*/}
  case $name in
    layer*)
      mkdir -p /layers/$name
      mount -t ext4 -o ro,noatime $device /layers/$name || exit 1
      lower=/layers/$name\${lower:+:$lower} ;;
    scratch) scratch=$device ;;
  esac
done
mkdir -p /upper
mount -t tmpfs -o mode=0755 upper /upper
mkdir -p /upper/data /upper/work
mount -t overlay -o lowerdir=$lower,upperdir=/upper/data,workdir=/upper/work root /new || exit 1
cd /new
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm dev/hugepages
mount -t devpts -o ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
ln -sf pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t tmpfs -o mode=1777 tmp tmp
mount -t tmpfs -o mode=0755 run run
mount -t tmpfs -o mode=1777 out out
mkdir -p sys/fs/cgroup run/user/0 run/user/1000
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t debugfs debugfs sys/kernel/debug 2>/dev/null
chmod 0700 run/user/*
chown 1000:1000 run/user/1000 home/user
[ -n "$scratch" ] && mount -t ext4 -o noatime $scratch scratch && chmod 1777 scratch
[ -e dev/kvm ] && chown 0:104 dev/kvm && chmod 0660 dev/kvm
ln -sf /proc/self/fd dev/fd
mkdir -p usr/lib/modules
ln -sf ${kernel.modulesDir} usr/lib/modules/${kernel.version}
ifconfig lo 127.0.0.1 up
hostname lab
exec switch_root /new /usr/sbin/lab-agent
`;
}
