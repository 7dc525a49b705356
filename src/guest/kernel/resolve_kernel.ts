import { debianKernel } from "./debian_kernel.ts";
import { isProfile, type Profile, profiles } from "./profiles.ts";
import { smallKernel } from "./small_kernel.ts";

/** The kernel that a configuration names. */
export interface ResolvedKernel {
  /** For messages: `small:app 6.1.192-spectrum-app`, or the path as it was given. */
  readonly description: string;
  /** Path of the image to boot. */
  readonly path: string;
  /** Where its modules are, when it is one of Debian's. */
  readonly modulesDir?: string;
}

/** No kernel has the name that a configuration gives: it is not there yet, or there is no such name. */
export class KernelNameError extends Error {
  /** The name as it was given. */
  readonly kernel: string;

  constructor(kernel: string, message: string) {
    super(message);
    this.name = "KernelNameError";
    this.kernel = kernel;
  }
}

/**
 * Finds the kernel that a configuration names: `small` and `small:PROFILE` (the newest build), `debian` (the newest that was
 * fetched), else a path, which is not looked at.
 *
 * @param options.onlyProvides the VM only provides devices, so that `small` means profile `device`
 * @throws {KernelNameError} when it is not on this machine, with the command that brings it, or when there is no such profile
 */
export async function resolveKernel(
  kernel: string,
  cacheDir: string,
  options: { onlyProvides?: boolean } = {},
): Promise<ResolvedKernel> {
  if (kernel === "debian") return await resolveDebian(kernel, cacheDir);
  if (kernel === "small") {
    return await resolveSmall(kernel, options.onlyProvides ? "device" : "app", cacheDir);
  }
  if (!kernel.startsWith("small:")) return { description: kernel, path: kernel };
  const profile = kernel.slice("small:".length);
  if (!isProfile(profile)) {
    throw new KernelNameError(
      kernel,
      `There is no profile "${profile}" of the small kernel. Those that there are: ${
        profiles.join(", ")
      }.`,
    );
  }
  return await resolveSmall(kernel, profile, cacheDir);
}

async function resolveSmall(
  kernel: string,
  profile: Profile,
  cacheDir: string,
): Promise<ResolvedKernel> {
  const found = await smallKernel(cacheDir, profile);
  if (found === undefined) {
    throw new KernelNameError(
      kernel,
      `The small kernel of profile ${profile} is not on this machine yet. ` +
        `Build it: spectrum kernel build --profile ${profile}`,
    );
  }
  // KASAN watches the code of the entry by PVH, too, and has no memory yet to note what it sees.
  const path = profile === "debug" ? found.bzImage : found.vmlinux;
  return { description: `small:${profile} ${found.version}`, path };
}

async function resolveDebian(kernel: string, cacheDir: string): Promise<ResolvedKernel> {
  const found = await debianKernel(cacheDir);
  if (found === undefined) {
    throw new KernelNameError(
      kernel,
      "Debian's kernel is not on this machine yet. Fetch it: spectrum kernel fetch",
    );
  }
  return {
    description: `debian ${found.version}`,
    path: found.vmlinuz,
    modulesDir: found.modulesDir,
  };
}
