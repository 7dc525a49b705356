import { join } from "node:path";
import type { Progress } from "../progress.ts";
import { hookDrivers } from "./guest_driver.ts";
import { KernelBuildError } from "./kernel_build_error.ts";
import { PrivateApt } from "../apt/private_apt.ts";
import { requireApt } from "../apt/require_apt.ts";
import { run } from "../run.ts";

/** Debian's package of the kernel's source, the version that Debian 12 runs. */
const PACKAGE = "linux-source-6.1";

/** The kernel's source, unpacked in the cache folder, with the place for our drivers. */
export interface KernelSource {
  /** Version of the package, such as `6.1.192-2`. */
  readonly version: string;
  /** The folder that holds the source, and beside it what is built from it. */
  readonly directory: string;
  /** The source itself. */
  readonly tree: string;
}

/** The folder for sources and half-built kernels; what is in it can be removed at any time. */
export function kernelBuildDir(cacheDir: string): string {
  return join(cacheDir, "kernel-build");
}

const PREFIX = "linux-";

/**
 * What is not unpacked: two thirds of the source, for other processors and for devices that our machines do not have.
 * Configuration files stay everywhere, as the tools read them all.
 */
const LEFT_OUT = [
  "*/Documentation/*.rst",
  "*/Documentation/*.yaml",
  // Linux as a program is kept, for tests.
  "*/arch/[!ux]*/*.[chSs]",
  "*/arch/*/*.dts*",
  "*/arch/xtensa/*.[chS]",
  "*/drivers/gpu/*.[ch]",
  "*/drivers/infiniband/*.[ch]",
  "*/drivers/media/*.[ch]",
  "*/drivers/net/ethernet/*.[ch]",
  "*/drivers/net/wireless/*.[ch]",
  "*/drivers/scsi/*.[ch]",
  "*/drivers/staging/*.[ch]",
  "*/drivers/usb/*.[ch]",
  "*/sound/*.[ch]",
  "*/tools/perf/*",
  "*/tools/testing/*",
];

/** About how many files are unpacked, for the display. */
const FILES = 37_000;

/** The newest source in the cache folder, or undefined when none was fetched. */
export async function cachedKernelSource(cacheDir: string): Promise<KernelSource | undefined> {
  let newest: { version: string; time: number } | undefined;
  try {
    for await (const { name } of Deno.readDir(kernelBuildDir(cacheDir))) {
      if (!name.startsWith(PREFIX)) continue;
      const stat = await statOrUndefined(join(kernelBuildDir(cacheDir), name, "source"));
      const time = stat?.mtime?.getTime();
      if (time !== undefined && time >= (newest?.time ?? 0)) {
        newest = { version: name.slice(PREFIX.length), time };
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return newest && sourceOf(cacheDir, newest.version);
}

/**
 * Debian's source of the kernel in the cache folder, downloaded and unpacked when it is not there yet. apt checks it
 * against the archive's signature. The caller holds the lock of the build folder.
 *
 * @param options.newer look whether Debian has a newer one than that in the cache
 * @throws {FetchError | KernelBuildError}
 */
export async function fetchKernelSource(
  cacheDir: string,
  progress: Progress,
  options: { newer?: boolean } = {},
): Promise<KernelSource> {
  const present = await cachedKernelSource(cacheDir);
  if (present !== undefined && options.newer !== true) return present;
  await requireApt("the kernel's source");
  const aptDir = join(cacheDir, "apt");
  await Deno.mkdir(aptDir, { recursive: true });
  // Two at once would fight over apt's lists.
  using lock = await Deno.open(join(aptDir, "lock"), { create: true, write: true });
  await lock.lock(true);
  const apt = await PrivateApt.open(aptDir);
  await apt.update(progress);
  const info = await apt.info(PACKAGE);
  if (info.version === present?.version) return present;
  const deb = await apt.download(info, progress);
  const source = sourceOf(cacheDir, info.version);
  await unpack(deb, source, progress);
  await Deno.remove(deb);
  return source;
}

function sourceOf(cacheDir: string, version: string): KernelSource {
  const directory = join(kernelBuildDir(cacheDir), PREFIX + version);
  return { version, directory, tree: join(directory, "source") };
}

/** Unpacks beside the final place and renames, so that a folder `source` is always whole. */
async function unpack(deb: string, source: KernelSource, progress: Progress): Promise<void> {
  const temporary = join(source.directory, "unpacking");
  await removeTree(temporary);
  const packed = join(temporary, "package"), tree = join(temporary, "tree");
  await Deno.mkdir(tree, { recursive: true });
  const step = `unpacking ${PACKAGE} ${source.version}`;
  progress(step);
  await must("dpkg-deb", ["-x", deb, packed], `unpack ${deb}`);
  let files = 0;
  await must(
    "tar",
    [
      "-xvJf",
      join(packed, "usr", "src", `${PACKAGE}.tar.xz`),
      "-C",
      tree,
      "--strip-components=1",
      "--no-same-owner",
      ...LEFT_OUT.map((pattern) => `--exclude=${pattern}`),
    ],
    `unpack the source in ${deb}`,
    (line) => {
      if (!line.endsWith("/") && ++files % 500 === 0) progress(step, Math.min(files / FILES, 1));
    },
  );
  await hookDrivers(tree);
  // The modification time of the folder tells which source is the newest.
  await Deno.utime(tree, new Date(), new Date());
  await Deno.rename(tree, source.tree);
  await removeTree(temporary);
}

async function must(
  program: string,
  args: readonly string[],
  attempted: string,
  onLine?: (line: string) => void,
): Promise<void> {
  const result = await run(program, args, { onLine });
  if (!result.success) {
    throw new KernelBuildError(`Cannot ${attempted}: ${program} failed.`, result.stderr.trim());
  }
}

async function removeTree(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function statOrUndefined(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
