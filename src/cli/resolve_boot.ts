import { ConfigError, type VmConfig } from "../config/mod.ts";
import {
  cacheDir,
  dataDir,
  deviceImage,
  ImageStore,
  KernelNameError,
  type ResolvedKernel,
  resolveKernel,
  rootInitrd,
  VmSystem,
} from "../guest/mod.ts";
import type { BootPlan, SystemDisk } from "../machine/mod.ts";
import { payload } from "../os/mod.ts";

/** Turns the names in a configuration into files: which kernel, which initrd, and what the kernel is told. */
export async function resolveBoot(config: VmConfig): Promise<BootPlan> {
  const { provides, root, initrd, image } = config;
  const onlyProvides = provides.length > 0 && root === undefined && initrd === undefined &&
    image === undefined;
  const kernel = await findKernel(config.kernel, onlyProvides);
  const found = image !== undefined
    ? await imageRoot(config, image, kernel)
    : await findRoot(config, kernel, onlyProvides ? await deviceImage(cacheDir()) : undefined);
  const words = [...consoleWords(config), ...found.root, config.cmdline];
  return {
    kernel: kernel.path,
    initrd: found.initrd,
    cmdline: words.filter((word) => word !== "").join(" "),
    disks: found.disks,
  };
}

/**
 * The same for a VM that is to run: what it writes on top of an image has a place then.
 *
 * @param note is told what the user should know
 */
export async function prepareBoot(
  config: VmConfig,
  note: (text: string) => void,
): Promise<BootPlan> {
  const plan = await resolveBoot(config);
  if (config.image !== undefined) {
    const system = await findSystem(config, config.image);
    await system.makeReady();
    if (system.note !== undefined) note(system.note);
  }
  return plan;
}

/** How a VM gets at its root. */
interface Root {
  readonly initrd?: string;
  /** Words for the kernel. */
  readonly root: readonly string[];
  readonly disks?: readonly SystemDisk[];
}

function findSystem(config: VmConfig, image: string): Promise<VmSystem> {
  const { name: vm, disposable, overlay: size } = config;
  return VmSystem.find(new ImageStore(dataDir()), { vm, image, disposable, size });
}

/** An image in an initrd of ours, which lays what the VM writes in front of it. */
async function imageRoot(
  config: VmConfig,
  image: string,
  { modulesDir }: ResolvedKernel,
): Promise<Root> {
  const { base, overlay } = await findSystem(config, image);
  const { disposable } = config;
  const { init, agent } = payload();
  return {
    initrd: await rootInitrd({ cacheDir: cacheDir(), modulesDir, init, agent, withDevices: true }),
    root: ["root=serial:base", "overlay=serial:overlay", `systemd.hostname=${config.name}`],
    disks: [
      { serial: "base", path: base, readonly: true },
      { serial: "overlay", path: overlay, readonly: false, disposable },
    ],
  };
}

async function findKernel(name: string, onlyProvides: boolean): Promise<ResolvedKernel> {
  try {
    return await resolveKernel(name, name.startsWith("/") ? "" : cacheDir(), { onlyProvides });
  } catch (error) {
    if (!(error instanceof KernelNameError)) throw error;
    throw new ConfigError(error.message, undefined, "kernel");
  }
}

/** The boot console, and a panic that ends the machine instead of hanging it. */
function consoleWords({ console: { device } }: VmConfig): string[] {
  // The last console is the one that /dev/console stands for.
  return ["console=ttyS0", ...(device === "virtio" ? ["console=hvc0"] : []), "panic=-1"];
}

/**
 * How the kernel gets at its root disk. By an initrd of ours where the disk's driver is a module, and where the guest is to
 * have an agent.
 *
 * @param system path of an image of ours that is the root
 */
async function findRoot(
  { root, initrd, disk, vsock }: VmConfig,
  { modulesDir }: ResolvedKernel,
  system: string | undefined,
): Promise<Root> {
  if (root === undefined && system === undefined) return { initrd, root: [] };
  const disks = system === undefined
    ? undefined
    : [{ serial: "system", path: system, readonly: true }];
  // The image of ours comes last.
  const index = root === undefined ? disk.length : Number(root.slice("disk".length));
  const access = root === undefined || disk[index].readonly ? "ro" : "rw";
  const program = root === undefined ? ["init=/init"] : [];
  const wantsAgent = vsock !== undefined && root !== undefined;
  if (initrd === undefined && (modulesDir !== undefined || wantsAgent)) {
    const { init, agent } = payload();
    const ours = await rootInitrd({ cacheDir: cacheDir(), modulesDir, init, agent });
    return { initrd: ours, root: [`root=serial:${root ?? "system"}`, access, ...program], disks };
  }
  // disk0 is vda; disks are 31 at the most, so that a letter is not enough after z.
  const letters = index < 26
    ? letter(index)
    : letter(Math.floor(index / 26) - 1) + letter(index % 26);
  return { initrd, root: [`root=/dev/vd${letters}`, access, ...program], disks };
}

function letter(index: number): string {
  return String.fromCharCode("a".charCodeAt(0) + index);
}
