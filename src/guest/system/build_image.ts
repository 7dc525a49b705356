import { createHash } from "node:crypto";
import { join } from "node:path";
import { debianSources, RELEASE } from "../apt/apt_sources.ts";
import { requireApt } from "../apt/require_apt.ts";
import { Erofs } from "../erofs/mod.ts";
import type { Progress } from "../progress.ts";
import { unlessMissing } from "./files.ts";
import { ImageError } from "./image_error.ts";
import type { ImageRecord } from "./image_record.ts";
import type { ImageStore } from "./image_store.ts";
import { gather } from "./gather.ts";
import { debootstrap, requireMmdebstrap } from "./mmdebstrap.ts";
import {
  belongs,
  customizeHooks,
  LEFT_OUT,
  NOT_LEFT_OUT,
  PACKAGES,
  quote,
  recipeHash,
  scriptHooks,
} from "./recipe.ts";
import { readTar, type TarEntry } from "./tar_reader.ts";

/** What to build, and where. */
export interface ImageBuildOptions {
  readonly name: string;
  readonly store: ImageStore;
  readonly cacheDir: string;
  readonly progress: Progress;
  /** Debian's packages, beside those of every image. */
  readonly packages?: readonly string[];
  /** Path of a script that runs as root in the finished root file system. */
  readonly script?: string;
  /** By default `bookworm`. */
  readonly release?: string;
  /** Address of an archive to use instead of this machine's. */
  readonly mirror?: string;
  /** Path of the agent's program. */
  readonly agent: string;
  /** Ends the build; what was downloaded is not downloaded again. */
  readonly signal?: AbortSignal;
}

const NAME = /^[a-z0-9][a-z0-9-]{0,19}$/;
/** Letters of which names of packages are made, and the `=VERSION` that apt takes behind them. */
const PACKAGE = /^[a-z0-9][a-z0-9+.-]*(=[A-Za-z0-9.+:~-]+)?$/;

/**
 * Builds a Debian root file system and gives it a name; an image of that name stays until the new one is whole. Equal packages
 * and an equal script give equal bytes, as far as the script does. Needs mmdebstrap; as an ordinary user ids of `/etc/subuid`.
 *
 * @throws {ImageError} when a name is none, or mmdebstrap is missing or fails
 * @throws {FetchError} when packages cannot be had
 * @throws the signal's reason when it is aborted
 */
export async function buildImage(options: ImageBuildOptions): Promise<ImageRecord> {
  const { name, store, progress, signal, agent } = options;
  const { packages = [], release = RELEASE, mirror } = options;
  if (!NAME.test(name)) {
    throw new ImageError(
      "usage",
      `"${name}" cannot be the name of an image: use at most 20 of a-z, 0-9 and -, first not -.`,
    );
  }
  const strange = packages.find((word) => !PACKAGE.test(word));
  if (strange !== undefined) {
    throw new ImageError("usage", `"${strange}" is no name of a Debian package.`);
  }
  const script = options.script === undefined ? undefined : await readScript(options.script);
  await requireMmdebstrap();
  await requireApt("Debian's packages");
  using _lock = await store.lockName(
    name,
    () => progress(`waiting for another process that builds the image "${name}"`),
  );

  const recipe = await recipeHash(agent);
  const asked = { packages: [...packages], script: script?.hash, release, mirror };
  const wanted = [...new Set([...PACKAGES, ...packages])];
  const sources = await debianSources({ release, mirror });
  const aptDir = join(options.cacheDir, aptFolder(release, mirror));
  const isCurrent = async (versions: ImageRecord["versions"]) => {
    const present = await store.find(name);
    return present !== undefined && sameAgain(present, { ...asked, recipe, versions }, store);
  };
  await using gathered = await gather({ aptDir, sources, wanted, progress, isCurrent })
    // A key that interrupts us also reaches apt, whose complaints nobody wants to read then.
    .finally(() => signal?.throwIfAborted());
  if (gathered === undefined) {
    progress(`the image "${name}" is up to date`);
    const present = await store.find(name);
    if (present !== undefined) return present;
    throw await store.missing(name);
  }
  const { versions, time, debs, lists } = gathered;
  signal?.throwIfAborted();

  const temporary = await Deno.makeTempFile({ dir: store.bases, prefix: ".building-" });
  try {
    const size = await debootstrap(
      {
        ...{ release, sources, progress, signal, time, packages: wanted },
        dpkgOptions: [
          ...LEFT_OUT.map((pattern) => `path-exclude=${pattern}`),
          ...NOT_LEFT_OUT.map((pattern) => `path-include=${pattern}`),
        ],
        setupHooks: [
          'mkdir -p "$1/var/cache/apt/archives" "$1/var/lib/apt/lists"',
          `sync-in ${quote(debs)} /var/cache/apt/archives`,
          `sync-in ${quote(lists)} /var/lib/apt/lists`,
        ],
        customizeHooks: [
          ...customizeHooks(agent),
          ...(options.script === undefined ? [] : scriptHooks(options.script)),
        ],
      },
      (archive) => writeBase(temporary, readTar(archive), time),
    );
    progress("storing the image");
    const base = await fileHash(temporary);
    const record: ImageRecord = {
      ...{ name, base, size, ...asked, recipe, versions, built: new Date().toISOString() },
    };
    using _store = await store.lock();
    await Deno.chmod(temporary, 0o400);
    await Deno.rename(temporary, store.basePath(base));
    await store.set(record);
    await store.collect();
    return record;
  } finally {
    await unlessMissing(Deno.remove(temporary));
  }
}

/** What an image was made of, in the order in which it is compared. */
type Ingredients = Pick<
  ImageRecord,
  "packages" | "script" | "release" | "mirror" | "recipe" | "versions"
>;

/** Whether it would be the same again. Of a script nobody knows. */
function sameAgain(present: ImageRecord, wanted: Ingredients, store: ImageStore): boolean {
  const text = ({ packages, release, mirror, recipe, versions }: Ingredients) =>
    JSON.stringify([packages, release, mirror, recipe, versions]);
  if (wanted.script !== undefined || present.script !== undefined) return false;
  return text(present) === text(wanted) && isFile(store.basePath(present.base));
}

/** Kernels are fetched by the same lists. */
function aptFolder(release: string, mirror: string | undefined): string {
  if (release === RELEASE && mirror === undefined) return "apt";
  const key = createHash("sha256").update(JSON.stringify([release, mirror])).digest("hex");
  return `apt-${release}-${key.slice(0, 8)}`;
}

async function readScript(path: string): Promise<{ hash: string }> {
  const data = await unlessMissing(Deno.readFile(path));
  if (data === undefined) throw new ImageError("usage", `There is no script ${path}.`);
  return { hash: createHash("sha256").update(data).digest("hex") };
}

/** @returns bytes of the image */
async function writeBase(
  path: string,
  entries: AsyncIterable<TarEntry>,
  time: number,
): Promise<number> {
  using output = await Deno.open(path, { write: true });
  const image = new Erofs(output, { mtime: time });
  for await (const entry of entries) {
    if (!belongs(entry)) continue;
    const { mode, uid, gid, mtime, xattrs } = entry;
    await image.add({ ...entry, attributes: { mode, uid, gid, mtime, xattrs } });
  }
  // What systemd brings up to date in a system that is older than its programs is so here.
  for (const path of ["etc/.updated", "var/.updated"]) {
    await image.add({
      kind: "file",
      path,
      data: new Uint8Array(0),
      attributes: { mtime: time + 1 },
    });
  }
  return image.finish();
}

async function fileHash(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const buffer = new Uint8Array(2 ** 20);
  for (let count; (count = await file.read(buffer)) !== null;) {
    hash.update(buffer.subarray(0, count));
  }
  return hash.digest("hex");
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
