import { basename, join } from "node:path";
import { PrivateApt } from "../apt/private_apt.ts";
import type { Progress } from "../progress.ts";
import { isAbandoned, namesIn, unlessMissing } from "./files.ts";

const PREFIX = ".image-";

/** Which packages are wanted, and where they are kept. */
export interface Gathering {
  /** A folder of our apt. */
  readonly aptDir: string;
  /** Lines of `sources.list`. */
  readonly sources: readonly string[];
  /** Packages beside the essential ones. */
  readonly wanted: readonly string[];
  readonly progress: Progress;
  /** Whether an image of these versions is there already. */
  readonly isCurrent: (versions: Readonly<Record<string, string>>) => Promise<boolean>;
}

/** What an image is made of, out of the way of others; disposed of, it is gone. */
export interface Gathered extends AsyncDisposable {
  /** Folder of all packages. */
  readonly debs: string;
  /** Folder of apt's lists. */
  readonly lists: string;
  /** Versions by package. */
  readonly versions: Readonly<Record<string, string>>;
  /** Seconds since 1970: when the newest of the packages was made. */
  readonly time: number;
}

/**
 * Chooses and downloads the packages of an image.
 *
 * @returns undefined when an image of them is there already
 * @throws {FetchError} when they cannot be had
 */
export async function gather(
  { aptDir, sources, wanted, progress, isCurrent }: Gathering,
): Promise<Gathered | undefined> {
  await Deno.mkdir(aptDir, { recursive: true });
  using lock = await Deno.open(join(aptDir, "lock"), { create: true, write: true });
  // Two at once would fight over apt's lists.
  if (!await lock.tryLock(true)) {
    progress("waiting for another process that downloads packages");
    await lock.lock(true);
  }
  await removeAbandoned(aptDir);
  const apt = await PrivateApt.open(aptDir, sources);
  await apt.update(progress);
  // What mmdebstrap installs by itself, and an empty package for the one that would make an old system into a merged one.
  const words = ["?essential", "apt", "usr-is-merged", "usrmerge-", ...wanted];
  const chosen = await apt.choose(words);
  const versions = Object.fromEntries(
    chosen.map(({ name, version }) => [name, version] as const).sort(([a], [b]) => a < b ? -1 : 1),
  );
  if (await isCurrent(versions)) return undefined;
  const debs = await apt.downloadAll(words, chosen, progress);
  await apt.tidy();
  const folder = await Deno.makeTempDir({ dir: aptDir, prefix: PREFIX });
  const lists = await namesIn(apt.lists);
  const files = lists.map((name) => join(apt.lists, name));
  return {
    debs: await linked(join(folder, "debs"), debs),
    // apt replaces its lists and does not write to them.
    lists: await linked(join(folder, "lists"), files.filter(isList)),
    versions,
    time: await newest(debs),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

function isList(path: string): boolean {
  return Deno.lstatSync(path).isFile && basename(path) !== "lock";
}

/** A folder of links to files: they stay, whatever becomes of the names that they have elsewhere. */
async function linked(folder: string, paths: readonly string[]): Promise<string> {
  await Deno.mkdir(folder);
  for (const path of paths) await Deno.link(path, join(folder, basename(path)));
  return folder;
}

/**
 * When the newest of the packages was made: its archive's first member says so. What is made of packages is of that
 * time, so that it depends on nothing else.
 */
async function newest(debs: readonly string[]): Promise<number> {
  // Behind `!<arch>\n` and a name of 16 letters.
  const TIME_AT = 8 + 16, LENGTH = 12;
  const times = await Promise.all(debs.map(async (path) => {
    using file = await Deno.open(path);
    const head = new Uint8Array(TIME_AT + LENGTH);
    await file.read(head);
    return Number(new TextDecoder().decode(head.subarray(TIME_AT)));
  }));
  return Math.max(0, ...times.filter(Number.isSafeInteger));
}

/** Removes what builds that were killed have left. */
async function removeAbandoned(aptDir: string): Promise<void> {
  for (const name of await namesIn(aptDir)) {
    if (!name.startsWith(PREFIX)) continue;
    const path = join(aptDir, name);
    if (await isAbandoned(path)) await unlessMissing(Deno.remove(path, { recursive: true }));
  }
}
