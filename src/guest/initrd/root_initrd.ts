import { createHash } from "node:crypto";
import { join } from "node:path";
import { cpio } from "./cpio.ts";
import { type ModuleChoice, moduleEntries } from "./module_entries.ts";

const MODULES: ModuleChoice = {
  // What it takes to reach a disk.
  needed: ["virtio_pci", "virtio_blk"],
  // The console where that is hvc0, and the device that tells the monitor of a panic.
  wanted: ["virtio_console", "pvpanic-mmio"],
  // Of the file systems only that of the disk is loaded. btrfs and xfs are left out: with 8 MB they would be four fifths
  // of the whole.
  // And the sockets of a guest that has a device for them, and what lays one file system in front of another.
  onDemand: ["ext4", "erofs", "squashfs", "overlay", "vmw_vsock_virtio_transport"],
};
/** What the devices of a system take that brings no modules. */
const DEVICES = ["virtio_net", "virtio_rng"];

/** How many are kept in the cache folder. */
const KEPT = 8;

/**
 * The small initial RAM disk that mounts a disk and runs its init (`src/guest/init/init.c`); which disk, and how, stands
 * on the kernel's command line (`root=`, `ro`, `rootfstype=`…). Made once for a kernel and an init.
 *
 * @param options.modulesDir `…/lib/modules/VERSION` of the kernel; left out for one that has everything built in
 * @param options.withDevices the root has no modules of this kernel, so that those of network and the like are here
 * @param options.init path of the init program, see `payload()`
 * @param options.agent path of the agent, which init starts in a guest with a vsock device
 * @returns the path of the initrd in the cache folder
 * @throws {ModuleMissingError} when the kernel cannot have a virtio disk
 */
export async function rootInitrd(
  options: {
    readonly cacheDir: string;
    readonly modulesDir?: string;
    readonly init: string;
    readonly agent: string;
    readonly withDevices?: boolean;
  },
): Promise<string> {
  const { modulesDir } = options;
  const modules = options.withDevices
    ? { ...MODULES, wanted: [...MODULES.wanted ?? [], ...DEVICES] }
    : MODULES;
  const init = await Deno.readFile(options.init);
  const agent = await Deno.readFile(options.agent);
  const dep = modulesDir === undefined
    ? new Uint8Array(0)
    : await Deno.readFile(join(modulesDir, "modules.dep"));
  const key = createHash("sha256")
    .update(JSON.stringify([modulesDir, modules]))
    .update(dep)
    .update(init)
    .update(agent)
    .digest("hex").slice(0, 16);
  const directory = join(options.cacheDir, "initrds");
  const path = join(directory, `root-${key}.cpio`);
  try {
    await Deno.utime(path, new Date(), new Date());
    return path;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const archive = cpio([
    { kind: "file", path: "init", data: init, mode: 0o755 },
    // The kernel opens it before /dev is mounted.
    { kind: "character", path: "dev/console", major: 5, minor: 1 },
    { kind: "file", path: "agent", data: agent, mode: 0o755 },
    ...(modulesDir === undefined ? [] : await moduleEntries(modulesDir, modules)),
  ]);
  await Deno.mkdir(directory, { recursive: true });
  // Renamed into place, so that nobody ever sees half of one.
  const temporary = await Deno.makeTempFile({ dir: directory, prefix: ".root-" });
  await Deno.writeFile(temporary, archive);
  await Deno.chmod(temporary, 0o644);
  await Deno.rename(temporary, path);
  await removeOld(directory);
  return path;
}

async function removeOld(directory: string): Promise<void> {
  const initrds: { path: string; used: number }[] = [];
  for await (const entry of Deno.readDir(directory)) {
    if (!/^root-[0-9a-f]{16}\.cpio$/.test(entry.name)) continue;
    const path = join(directory, entry.name);
    initrds.push({ path, used: (await Deno.stat(path)).mtime?.getTime() ?? 0 });
  }
  initrds.sort((a, b) => b.used - a.used);
  for (const { path } of initrds.slice(KEPT)) await Deno.remove(path);
}
