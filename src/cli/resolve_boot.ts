import { ConfigError, type VmConfig } from "../config/mod.ts";
import { cacheDir, debianKernel } from "../guest/mod.ts";
import type { BootPlan } from "../machine/mod.ts";

/**
 * Words of the kernel's command line that a machine of ours needs: the boot console, and a panic that ends the machine
 * instead of hanging it.
 */
const MACHINE_WORDS = "console=ttyS0 panic=-1";

/** Turns the names in a configuration into files: which kernel, which initrd. */
export async function resolveBoot(config: VmConfig): Promise<BootPlan> {
  const cmdline = [MACHINE_WORDS, config.cmdline].filter((words) => words !== "").join(" ");
  if (config.kernel !== "debian") {
    return { kernel: config.kernel, initrd: config.initrd, cmdline };
  }
  const kernel = await debianKernel(cacheDir());
  if (kernel === undefined) {
    throw new ConfigError(
      "Debian's kernel is not on this machine yet. Fetch it: spectrum kernel fetch",
      undefined,
      "kernel",
    );
  }
  return { kernel: kernel.vmlinuz, initrd: config.initrd, cmdline };
}
