import { dirname, join } from "node:path";
import type { Progress } from "../../../src/guest/mod.ts";
import { execute } from "../execute.ts";
import type { FileSet } from "./file_set.ts";
import { keepFile } from "./kept.ts";

const MIB = 1 << 20;

/** Images below this are made in no time and need no mention. */
const WORTH_SAYING = 16 * MIB;

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
  return await keepFile(cacheDir, name, "img", files.key(), async (image) => {
    if (files.size > WORTH_SAYING) {
      progress(`lab: making the image "${name}", ${Math.ceil(files.size / MIB)} MiB`);
    }
    const root = join(dirname(image), "root");
    await Deno.mkdir(root);
    await files.stage(root);
    // Room for inodes and block maps; blocks that are not used stay holes.
    const blocks = Math.ceil((files.size * 1.15 + 8 * MIB) / 4096);
    await execute("mke2fs", [
      ...["-q", "-t", "ext4", "-b", "4096", "-m", "0"],
      ...["-O", "^has_journal,^resize_inode", "-E", "root_owner=0:0,nodiscard"],
      ...["-L", name, "-N", String(files.entries.length * 2 + 1024)],
      ...["-d", root, image, String(blocks)],
    ]);
  });
}
