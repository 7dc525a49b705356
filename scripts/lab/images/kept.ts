import { createHash } from "node:crypto";
import { join } from "node:path";

/** How many files of a name are kept: switching between branches should not make all anew each time. */
const KEPT = 3;

/** Nothing is removed that was asked for this recently, in milliseconds: a lab may be about to open it. */
const GRACE = 600_000;

/** What a run that was killed leaves behind is removed when it is this old, in milliseconds. */
const STALE = 3_600_000;

/** The folder of the lab's files in the cache folder. */
export function labDir(cacheDir: string): string {
  return join(cacheDir, "lab");
}

/** A key for content: 16 hexadecimal digits. */
export function bytesKey(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex").slice(0, 16);
}

/**
 * The file `NAME-KEY.EXTENSION` of the lab's folder; made when it is not there. The few last used ones of a name stay.
 *
 * @param make returns the content, or writes it to the path that it is given
 * @returns the file's path
 */
export async function keepFile(
  cacheDir: string,
  name: string,
  extension: string,
  key: string,
  make: (temporary: string) => Promise<Uint8Array | void>,
): Promise<string> {
  const directory = labDir(cacheDir);
  const path = join(directory, `${name}-${key}.${extension}`);
  try {
    const now = new Date();
    // The time of last use decides which ones are thrown away.
    await Deno.utime(path, now, now);
    return path;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  await Deno.mkdir(directory, { recursive: true });
  const staging = await Deno.makeTempDir({ dir: directory, prefix: ".staging-" });
  try {
    const temporary = join(staging, "file");
    const bytes = await make(temporary);
    if (bytes !== undefined) await Deno.writeFile(temporary, bytes);
    // Renamed into place, so that nobody ever sees half of one.
    await Deno.rename(temporary, path);
  } finally {
    await Deno.remove(staging, { recursive: true });
  }
  await removeOld(directory, new RegExp(`^${name}-[0-9a-f]{16}\\.${extension}$`));
  return path;
}

async function removeOld(directory: string, pattern: RegExp): Promise<void> {
  const kept: { path: string; used: number }[] = [];
  for await (const { name } of Deno.readDir(directory)) {
    const path = join(directory, name);
    const used = (await statIfPresent(path))?.mtime?.getTime() ?? 0;
    if (pattern.test(name)) kept.push({ path, used });
    else if (name.startsWith(".staging-") && Date.now() - used > STALE) await removeIfPresent(path);
  }
  kept.sort((a, b) => b.used - a.used);
  // A lab that runs keeps its open image although the name is gone.
  const old = kept.slice(KEPT).filter(({ used }) => Date.now() - used > GRACE);
  for (const { path } of old) await removeIfPresent(path);
}

async function statIfPresent(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch {
    return undefined; // another process has removed it
  }
}

/** Removes a file or folder that another process may have removed already. */
export async function removeIfPresent(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
