import { ConfigError, type VmConfig } from "../config/mod.ts";
import {
  cacheDir,
  deviceImage,
  KernelNameError,
  type ResolvedKernel,
  resolveKernel,
  rootInitrd,
} from "../guest/mod.ts";
import type { BootPlan } from "../machine/mod.ts";
import { payload } from "../os/mod.ts";

/** Turns the names in a configuration into files: which kernel, which initrd, and what the kernel is told. */
export async function resolveBoot(config: VmConfig): Promise<BootPlan> {
  const { provides, root, initrd } = config;
  const onlyProvides = provides.length > 0 && root === undefined && initrd === undefined;
  const kernel = await findKernel(config.kernel, onlyProvides);
  const system = onlyProvides ? await deviceImage(cacheDir()) : undefined;
  const found = await findRoot(config, kernel, system !== undefined);
  return {
    kernel: kernel.path,
    initrd: found.initrd,
    cmdline: [...consoleWords(config), ...found.root, config.cmdline].filter((word) => word !== "")
      .join(" "),
    system,
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
 */
async function findRoot(
  { root, initrd, disk, vsock }: VmConfig,
  { modulesDir }: ResolvedKernel,
  hasSystem: boolean,
): Promise<{ initrd?: string; root: string[] }> {
  if (root === undefined && !hasSystem) return { initrd, root: [] };
  // The image of ours comes last.
  const index = root === undefined ? disk.length : Number(root.slice("disk".length));
  const access = root === undefined || disk[index].readonly ? "ro" : "rw";
  const program = root === undefined ? ["init=/init"] : [];
  const wantsAgent = vsock !== undefined && root !== undefined;
  if (initrd === undefined && (modulesDir !== undefined || wantsAgent)) {
    const { init, agent } = payload();
    const ours = await rootInitrd({ cacheDir: cacheDir(), modulesDir, init, agent });
    return { initrd: ours, root: [`root=serial:${root ?? "system"}`, access, ...program] };
  }
  // disk0 is vda; disks are 31 at the most, so that a letter is not enough after z.
  const letters = index < 26
    ? letter(index)
    : letter(Math.floor(index / 26) - 1) + letter(index % 26);
  return { initrd, root: [`root=/dev/vd${letters}`, access, ...program] };
}

function letter(index: number): string {
  return String.fromCharCode("a".charCodeAt(0) + index);
}
