import { join } from "node:path";
import { kernelsDir } from "./debian_kernel.ts";
import { isProfile, type Profile } from "./profiles.ts";

/** What is written beside a kernel that we built; a folder without it is none of ours. */
export interface SmallKernelRecord {
  readonly profile: Profile;
  /** Version of the source's package, such as `6.1.192-2`. */
  readonly sourceVersion: string;
  /** SHA-256, in hex, of everything that it was built from. */
  readonly contentHash: string;
  /** When, as an ISO date. */
  readonly built: string;
  /** Bytes of the images. */
  readonly sizes: { readonly vmlinux: number; readonly bzImage: number };
}

/** A guest kernel that we built, in the cache folder. */
export interface SmallKernel extends SmallKernelRecord {
  /** The folder that holds all of it: images, `config`, `System.map`. */
  readonly directory: string;
  /** What `uname -r` prints in the guest, such as `6.1.192-spectrum-app`. */
  readonly version: string;
  /** Path of the ELF image that is entered by PVH, the way in that takes least time. */
  readonly vmlinux: string;
  /** Path of the compressed image, for monitors without PVH. */
  readonly bzImage: string;
  /** Path of the `.config` that it was built with. */
  readonly config: string;
}

/** Name of the record's file. */
export const SMALL_KERNEL_RECORD = "metadata.json";

/** Prefix of the folders of our kernels. */
const PREFIX = "small-";

/** The folder of a kernel. */
export function smallKernelDir(
  cacheDir: string,
  { profile, sourceVersion, contentHash }: Omit<SmallKernelRecord, "built" | "sizes">,
): string {
  const name = `${PREFIX}${profile}-${sourceVersion}-${contentHash.slice(0, 12)}`;
  return join(kernelsDir(cacheDir), name);
}

/** The kernel in a folder, or undefined when that is none of ours or not a whole one. */
export async function readSmallKernel(directory: string): Promise<SmallKernel | undefined> {
  let record: SmallKernelRecord;
  try {
    record = parseRecord(await Deno.readTextFile(join(directory, SMALL_KERNEL_RECORD)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return undefined;
    throw error;
  }
  return {
    ...record,
    directory,
    version: `${record.sourceVersion.replace(/-.*/, "")}-spectrum-${record.profile}`,
    vmlinux: join(directory, "vmlinux"),
    bzImage: join(directory, "bzImage"),
    config: join(directory, "config"),
  };
}

function parseRecord(text: string): SmallKernelRecord {
  const value: unknown = JSON.parse(text);
  const bad = new SyntaxError("not a kernel record");
  if (!isObject(value) || !isObject(value.sizes)) throw bad;
  const { profile, sourceVersion, contentHash, built, sizes: { vmlinux, bzImage } } = value;
  if (
    typeof profile !== "string" || !isProfile(profile) || typeof sourceVersion !== "string" ||
    typeof contentHash !== "string" || typeof built !== "string" ||
    typeof vmlinux !== "number" || typeof bzImage !== "number"
  ) throw bad;
  return { profile, sourceVersion, contentHash, built, sizes: { vmlinux, bzImage } };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** All kernels that we built, the one that was built or asked for last first. */
export async function smallKernels(cacheDir: string, profile?: Profile): Promise<SmallKernel[]> {
  const found: { kernel: SmallKernel; time: number }[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(kernelsDir(cacheDir))) {
      if (!isDirectory || !name.startsWith(PREFIX)) continue;
      const directory = join(kernelsDir(cacheDir), name);
      const kernel = await readSmallKernel(directory);
      if (kernel === undefined || profile !== undefined && kernel.profile !== profile) continue;
      const { mtime } = await Deno.stat(join(directory, SMALL_KERNEL_RECORD));
      found.push({ kernel, time: mtime?.getTime() ?? 0 });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found.sort((a, b) => b.time - a.time).map(({ kernel }) => kernel);
}

/** The newest build of a profile, or undefined when there is none. */
export async function smallKernel(
  cacheDir: string,
  profile: Profile = "app",
): Promise<SmallKernel | undefined> {
  return (await smallKernels(cacheDir, profile))[0];
}

/** Makes a kernel the newest of its profile, since it is what the present source asks for. */
export async function markNewest(kernel: SmallKernel): Promise<void> {
  const now = new Date();
  await Deno.utime(join(kernel.directory, SMALL_KERNEL_RECORD), now, now);
}
