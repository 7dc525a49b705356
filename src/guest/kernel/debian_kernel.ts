import { join } from "node:path";

/** A guest kernel with its modules, in the cache folder. */
export interface GuestKernel {
  /** What `uname -r` prints in the guest, such as `6.1.0-44-cloud-amd64`. */
  readonly version: string;
  /** Version of the package that it came in, such as `6.1.164-1`. */
  readonly packageVersion: string;
  /** The folder that holds all of it. */
  readonly directory: string;
  /** Path of the bzImage. */
  readonly vmlinuz: string;
  /** Path of `lib/modules/VERSION`, with `modules.dep`. */
  readonly modulesDir: string;
}

/** What is written beside an unpacked kernel; a folder without it is no kernel of ours. */
export interface KernelRecord {
  readonly version: string;
  readonly packageVersion: string;
}

/** Name of the record's file. */
export const KERNEL_RECORD = "kernel.json";

/** Prefix of the folders of Debian's kernels. */
export const DEBIAN_PREFIX = "debian-";

/** The folder that holds the kernels of a cache folder. */
export function kernelsDir(cacheDir: string): string {
  return join(cacheDir, "kernels");
}

/** The kernel in a folder, or undefined when that is none or not a whole one. */
export async function readKernel(directory: string): Promise<GuestKernel | undefined> {
  let record: KernelRecord;
  try {
    record = parseRecord(await Deno.readTextFile(join(directory, KERNEL_RECORD)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return undefined;
    throw error;
  }
  return {
    ...record,
    directory,
    vmlinuz: join(directory, "boot", `vmlinuz-${record.version}`),
    modulesDir: join(directory, "lib", "modules", record.version),
  };
}

function parseRecord(text: string): KernelRecord {
  const value: unknown = JSON.parse(text);
  if (
    typeof value === "object" && value !== null && "version" in value &&
    "packageVersion" in value &&
    typeof value.version === "string" && typeof value.packageVersion === "string"
  ) {
    return { version: value.version, packageVersion: value.packageVersion };
  }
  throw new SyntaxError("not a kernel record");
}

/** All kernels of Debian in the cache folder, the newest first. */
export async function debianKernels(cacheDir: string): Promise<GuestKernel[]> {
  const kernels: GuestKernel[] = [];
  try {
    for await (const entry of Deno.readDir(kernelsDir(cacheDir))) {
      if (!entry.isDirectory || !entry.name.startsWith(DEBIAN_PREFIX)) continue;
      const kernel = await readKernel(join(kernelsDir(cacheDir), entry.name));
      if (kernel !== undefined) kernels.push(kernel);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return kernels.sort((a, b) => compareVersions(b.packageVersion, a.packageVersion));
}

/** The newest kernel of Debian in the cache folder, or undefined when none was fetched. */
export async function debianKernel(cacheDir: string): Promise<GuestKernel | undefined> {
  return (await debianKernels(cacheDir))[0];
}

/** Orders versions: runs of digits by value, the rest as text. */
export function compareVersions(a: string, b: string): number {
  const parts = (text: string) => text.match(/\d+|\D+/g) ?? [];
  const left = parts(a), right = parts(b);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const x = left[i] ?? "", y = right[i] ?? "";
    if (x === y) continue;
    const difference = Number(x) - Number(y);
    return Number.isNaN(difference) ? (x < y ? -1 : 1) : difference;
  }
  return 0;
}
