import { join } from "node:path";
import type { Progress } from "../../../src/guest/mod.ts";
import { execute } from "../execute.ts";
import type { FileSet } from "./file_set.ts";

/** How many images of a name are kept: switching between branches should not build anew each time. */
const KEPT = 3;

const MIB = 1 << 20;

/** The folder of the lab's images in the cache folder. */
export function labDir(cacheDir: string): string {
  return join(cacheDir, "lab");
}

/**
 * An ext4 image of a file set, made without root, used again as long as the set is the same.
 *
 * @param name the image's name: `NAME-KEY.img` in the cache folder
 * @returns its path
 */
export async function buildImage(
  name: string,
  files: FileSet,
  cacheDir: string,
  progress: Progress,
): Promise<string> {
  const directory = labDir(cacheDir);
  const path = join(directory, `${name}-${files.key()}.img`);
  try {
    const now = new Date();
    // The time of last use decides which images are thrown away.
    await Deno.utime(path, now, now);
    return path;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  if (files.size > 4 * MIB) {
    progress(`lab: making the image "${name}", ${Math.ceil(files.size / MIB)} MiB`);
  }
  await Deno.mkdir(directory, { recursive: true });
  const staging = await Deno.makeTempDir({ dir: directory, prefix: ".staging-" });
  try {
    const root = join(staging, "root");
    await Deno.mkdir(root);
    await files.stage(root);
    const image = join(staging, "image");
    // Room for inodes and block maps; blocks that are not used stay holes.
    const blocks = Math.ceil((files.size * 1.15 + 8 * MIB) / 4096);
    await execute("mke2fs", [
      ...["-q", "-t", "ext4", "-b", "4096", "-m", "0"],
      ...["-O", "^has_journal,^resize_inode", "-E", "root_owner=0:0,nodiscard", "-L", name],
      ...["-N", String(files.entries.length * 2 + 1024)],
      ...["-d", root, image, String(blocks)],
    ]);
    await Deno.rename(image, path);
  } finally {
    await Deno.remove(staging, { recursive: true });
  }
  await removeOld(directory, name);
  return path;
}

async function removeOld(directory: string, name: string): Promise<void> {
  const images: { path: string; used: number }[] = [];
  for await (const entry of Deno.readDir(directory)) {
    if (!new RegExp(`^${name}-[0-9a-f]{16}\\.`).test(entry.name)) continue;
    const path = join(directory, entry.name);
    images.push({ path, used: (await Deno.stat(path)).mtime?.getTime() ?? 0 });
  }
  images.sort((a, b) => b.used - a.used);
  // A lab that runs keeps its open image although the name is gone.
  for (const { path } of images.slice(KEPT)) await Deno.remove(path);
}
