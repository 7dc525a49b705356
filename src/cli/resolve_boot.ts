import { ConfigError, type VmConfig } from "../config/mod.ts";
import {
  cacheDir,
  KernelNameError,
  type ResolvedKernel,
  resolveKernel,
  rootInitrd,
} from "../guest/mod.ts";
import type { BootPlan } from "../machine/mod.ts";
import { payload } from "../os/mod.ts";

/** Turns the names in a configuration into files: which kernel, which initrd, and what the kernel is told. */
export async function resolveBoot(config: VmConfig): Promise<BootPlan> {
  const kernel = await findKernel(config.kernel);
  const { initrd, root } = await findRoot(config, kernel);
  return {
    kernel: kernel.path,
    initrd,
    cmdline: [...consoleWords(config), ...root, config.cmdline].filter((word) => word !== "").join(
      " ",
    ),
  };
}

async function findKernel(name: string): Promise<ResolvedKernel> {
  try {
    return await resolveKernel(name, name.startsWith("/") ? "" : cacheDir());
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

/** How the kernel gets at its root disk. Where the disk's driver is a module, by an initrd of ours. */
async function findRoot(
  { root, initrd, disk }: VmConfig,
  { modulesDir }: ResolvedKernel,
): Promise<{ initrd?: string; root: string[] }> {
  if (root === undefined) return { initrd, root: [] };
  const index = Number(root.slice("disk".length));
  const access = disk[index].readonly ? "ro" : "rw";
  if (initrd === undefined && modulesDir !== undefined) {
    const ours = await rootInitrd({ cacheDir: cacheDir(), modulesDir, init: payload().init });
    return { initrd: ours, root: [`root=serial:${root}`, access] };
  }
  // disk0 is vda; disks are 31 at the most, so that a letter is not enough after z.
  const letters = index < 26
    ? letter(index)
    : letter(Math.floor(index / 26) - 1) + letter(index % 26);
  return { initrd, root: [`root=/dev/vd${letters}`, access] };
}

function letter(index: number): string {
  return String.fromCharCode("a".charCodeAt(0) + index);
}
