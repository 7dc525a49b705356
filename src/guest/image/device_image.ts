import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { type Payload, payload } from "../../os/mod.ts";
import { Erofs, type ErofsEntry } from "../erofs/mod.ts";
import { librariesOf } from "./libraries.ts";

/** What `init` of the image runs, an argument a line (`src/guest/init/serve.c`). */
const COMMAND = "etc/spectrum/command";
/** Where the runtime and our own files are in the image. */
const PROGRAM = "usr/bin/spectrum";
const OURS = "usr/lib/spectrum";
const FOLDERS = ["proc", "sys", "dev", "tmp", "run"];
/** How many images are kept in the cache folder; each is some 100 MB. */
const KEPT = 2;

/**
 * The image that a VM boots which only provides devices: this very program with the libraries that it needs here, and an
 * init. Made once for each version of the program.
 *
 * @param program what it runs: this very one, when left out
 * @returns the path of the image in the cache folder
 */
export async function deviceImage(cacheDir: string, program = payload()): Promise<string> {
  const directory = join(cacheDir, "device-images");
  const files = filesOf(program);
  const path = join(directory, `device-${await keyOf(files)}.erofs`);
  try {
    await Deno.utime(path, new Date(), new Date());
    return path;
  } catch (error) {
    // Somebody else's folder, who keeps it himself.
    if (error instanceof Deno.errors.PermissionDenied) return path;
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const entries = await entriesOf(files);
  await Deno.mkdir(directory, { recursive: true });
  // Renamed into place, so that nobody ever sees half of one.
  const temporary = await Deno.makeTempFile({ dir: directory, prefix: ".device-" });
  try {
    using output = await Deno.open(temporary, { write: true });
    const image = new Erofs(output);
    for (const entry of entries) await image.add(entry);
    image.finish();
    await Deno.chmod(temporary, 0o644);
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary);
    throw error;
  }
  await removeOld(directory);
  return path;
}

/** What the image is made of: files of this machine by their place in it, and the command line of ours there. */
interface Files {
  readonly sources: Readonly<Record<string, string>>;
  /** Targets of symbolic links. */
  readonly links: Readonly<Record<string, string>>;
  readonly command: readonly string[];
}

function filesOf({ selfContained, init, shim, serve }: Payload): Files {
  if (selfContained) {
    // One executable is what it is by its name.
    const [name, ...words] = serve;
    return {
      sources: { init, [PROGRAM]: "/proc/self/exe" },
      links: { [join(dirname(PROGRAM), name)]: basename(PROGRAM) },
      command: [`/${dirname(PROGRAM)}/${name}`, ...words],
    };
  }
  const folder = dirname(shim);
  const ours = ["serve.js", "device.js", "starter", basename(shim)];
  return {
    sources: {
      init,
      [PROGRAM]: Deno.execPath(),
      ...Object.fromEntries(ours.map((name) => [`${OURS}/${name}`, join(folder, name)])),
    },
    links: {},
    command: serve.map((word) =>
      word === Deno.execPath()
        ? `/${PROGRAM}`
        : dirname(word) === folder
        ? `/${OURS}/${basename(word)}`
        : word
    ),
  };
}

/** Changes with the content of our own files; of the runtime, which is large, with its size and time. */
async function keyOf({ sources, links, command }: Files): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([sources, links, command]));
  for (const [place, source] of Object.entries(sources)) {
    const { size, mtime } = await Deno.stat(source);
    hash.update(
      place === PROGRAM ? JSON.stringify([size, seconds(mtime)]) : await Deno.readFile(source),
    );
  }
  return hash.digest("hex").slice(0, 16);
}

/** Not every copy keeps more. */
function seconds(time: Date | null): number {
  return Math.floor((time?.getTime() ?? 0) / 1000);
}

async function entriesOf({ sources, links, command }: Files): Promise<ErofsEntry[]> {
  const libraries = await librariesOf(sources[PROGRAM]);
  const all = [
    ...Object.entries(sources),
    ...libraries.map((path): [string, string] => [path.slice(1), path]),
  ];
  const files = await Promise.all(all.map(async ([path, source]): Promise<ErofsEntry> => (
    { kind: "file", path, data: await Deno.readFile(source), attributes: { mode: 0o755 } }
  )));
  return [
    ...FOLDERS.map((path): ErofsEntry => ({ kind: "directory", path })),
    ...files,
    ...Object.entries(links).map(([path, target]): ErofsEntry => ({ kind: "link", path, target })),
    { kind: "file", path: COMMAND, data: new TextEncoder().encode(command.join("\n") + "\n") },
  ];
}

async function removeOld(directory: string): Promise<void> {
  const images: { path: string; used: number }[] = [];
  for await (const { name } of Deno.readDir(directory)) {
    if (!/^device-[0-9a-f]{16}\.erofs$/.test(name)) continue;
    const path = join(directory, name);
    const used = await unlessGone(Deno.stat(path));
    if (used !== undefined) images.push({ path, used: seconds(used.mtime) });
  }
  images.sort((a, b) => b.used - a.used);
  for (const { path } of images.slice(KEPT)) await unlessGone(Deno.remove(path));
}

/** Another process may tidy up at the same time. */
async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
