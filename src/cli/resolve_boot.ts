import { ConfigError, type VmConfig } from "../config/mod.ts";
import { cacheDir, debianKernel, rootInitrd } from "../guest/mod.ts";
import type { BootPlan } from "../machine/mod.ts";
import { payload } from "../os/mod.ts";

/** Turns the names in a configuration into files: which kernel, which initrd, and what the kernel is told. */
export async function resolveBoot(config: VmConfig): Promise<BootPlan> {
  const plan = config.kernel === "debian"
    ? await debian(config)
    : { kernel: config.kernel, initrd: config.initrd, root: plainRoot(config) };
  return {
    kernel: plan.kernel,
    initrd: plan.initrd,
    cmdline: [...machineWords(config), ...plan.root, config.cmdline].filter((word) => word !== "")
      .join(" "),
  };
}

/** The boot console, and a panic that ends the machine instead of hanging it. */
function machineWords({ console: { device } }: VmConfig): string[] {
  // The last console is the one that /dev/console stands for.
  return ["console=ttyS0", ...(device === "virtio" ? ["console=hvc0"] : []), "panic=-1"];
}

async function debian(
  config: VmConfig,
): Promise<{ kernel: string; initrd?: string; root: string[] }> {
  const kernel = await debianKernel(cacheDir());
  if (kernel === undefined) {
    throw new ConfigError(
      "Debian's kernel is not on this machine yet. Fetch it: spectrum kernel fetch",
      undefined,
      "kernel",
    );
  }
  const { vmlinuz, modulesDir } = kernel;
  if (config.root === undefined || config.initrd !== undefined) {
    return { kernel: vmlinuz, initrd: config.initrd, root: plainRoot(config) };
  }
  // Its disk driver is a module, so that a disk needs an initrd.
  const initrd = await rootInitrd({ cacheDir: cacheDir(), modulesDir, init: payload().init });
  return { kernel: vmlinuz, initrd, root: [`root=serial:${config.root}`, access(config)] };
}

/** For a kernel that finds the disk by itself: disk0 is vda. */
function plainRoot(config: VmConfig): string[] {
  if (config.root === undefined) return [];
  const letter = String.fromCharCode("a".charCodeAt(0) + diskIndex(config.root));
  return [`root=/dev/vd${letter}`, access(config)];
}

function access({ root, disk }: VmConfig): "ro" | "rw" {
  return root !== undefined && disk[diskIndex(root)].readonly ? "ro" : "rw";
}

function diskIndex(root: string): number {
  return Number(root.slice("disk".length));
}
