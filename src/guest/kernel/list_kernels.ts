import { debianKernels } from "./debian_kernel.ts";
import type { Profile } from "./profiles.ts";
import { smallKernels } from "./small_kernel.ts";

/** A kernel in the cache folder, as `spectrum kernel list` shows it. */
export interface ListedKernel {
  /** What a configuration calls it; `undefined` when a newer one has that name. */
  readonly name: "debian" | `small:${Profile}` | undefined;
  readonly origin: "fetched" | "built";
  /** What `uname -r` prints in the guest. */
  readonly version: string;
  /** Version of Debian's package that it is, or was built from. */
  readonly packageVersion: string;
  /** Bytes of the image that is booted. */
  readonly size: number;
  /** Path of the image that is booted. */
  readonly path: string;
}

/** All kernels in the cache folder: ours, the newest first, then Debian's. */
export async function listKernels(cacheDir: string): Promise<ListedKernel[]> {
  const listed: ListedKernel[] = [];
  const named = new Set<ListedKernel["name"]>();
  const nameOnce = (name: ListedKernel["name"]) => {
    if (named.has(name)) return undefined;
    named.add(name);
    return name;
  };
  for (const kernel of await smallKernels(cacheDir)) {
    listed.push({
      name: nameOnce(`small:${kernel.profile}`),
      origin: "built",
      version: kernel.version,
      packageVersion: kernel.sourceVersion,
      size: kernel.sizes.vmlinux,
      path: kernel.vmlinux,
    });
  }
  for (const kernel of await debianKernels(cacheDir)) {
    listed.push({
      name: nameOnce("debian"),
      origin: "fetched",
      version: kernel.version,
      packageVersion: kernel.packageVersion,
      size: (await Deno.stat(kernel.vmlinuz)).size,
      path: kernel.vmlinuz,
    });
  }
  return listed;
}
