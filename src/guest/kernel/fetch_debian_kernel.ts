import { join } from "node:path";
import type { Progress } from "../progress.ts";
import { writeModuleIndex } from "../modules/write_module_index.ts";
import {
  DEBIAN_PREFIX,
  debianKernel,
  type GuestKernel,
  KERNEL_RECORD,
  type KernelRecord,
  kernelsDir,
  readKernel,
} from "./debian_kernel.ts";
import { FetchError } from "../fetch_error.ts";
import { PrivateApt } from "../apt/private_apt.ts";
import { requireApt } from "../apt/require_apt.ts";
import { run } from "../run.ts";

/** The meta package that depends on the newest kernel for virtual machines. */
const META_PACKAGE = "linux-image-cloud-amd64";

/**
 * Debian's kernel for virtual machines, with its modules, in `CACHE/kernels/debian-VERSION/`. Needs `apt-get` and
 * `dpkg-deb`, neither root nor an installed package; a fetched one is used again.
 *
 * @param options.newer look whether Debian has a newer one than that in the cache
 * @throws {FetchError} without apt, without network, or when the package is not what it should be
 */
export async function fetchDebianKernel(
  cacheDir: string,
  progress: Progress,
  options: { newer?: boolean } = {},
): Promise<GuestKernel> {
  const present = await debianKernel(cacheDir);
  if (present !== undefined && options.newer !== true) return present;
  await requireApt(
    "Debian's kernel",
    "Give a kernel file with --kernel PATH, or copy CACHE/kernels from a machine with apt.",
  );
  const aptDir = join(cacheDir, "apt");
  await Deno.mkdir(aptDir, { recursive: true });
  // Two at once would fight over apt's lists: the second waits, then finds the first one's kernel.
  using lock = await Deno.open(join(aptDir, "lock"), { create: true, write: true });
  if (!await lock.tryLock(true)) {
    progress("waiting for another process that fetches the kernel");
    await lock.lock(true);
    const fetched = await debianKernel(cacheDir);
    if (fetched !== undefined) return fetched;
  }
  const apt = await PrivateApt.open(aptDir);
  await apt.update(progress);
  const info = await apt.info(await apt.dependency(META_PACKAGE));
  if (info.version === present?.packageVersion) return present;
  const deb = await apt.download(info, progress);
  progress(`unpacking ${info.name}`);
  const kernel = await unpack(cacheDir, deb, {
    version: info.name.replace(/^linux-image-/, ""),
    packageVersion: info.version,
  });
  await Deno.remove(deb);
  return kernel;
}

/** Unpacks beside the final place and renames, so that a folder with a kernel's name is always whole. */
async function unpack(cacheDir: string, deb: string, record: KernelRecord): Promise<GuestKernel> {
  const parent = kernelsDir(cacheDir);
  await Deno.mkdir(parent, { recursive: true });
  const temporary = await Deno.makeTempDir({ dir: parent, prefix: ".unpacking-" });
  try {
    const result = await run("dpkg-deb", ["-x", deb, temporary]);
    if (!result.success) {
      throw new FetchError(`Cannot unpack ${deb}: dpkg-deb failed.`, result.stderr.trim());
    }
    await Deno.remove(join(temporary, "usr"), { recursive: true });
    await Deno.chmod(temporary, 0o755);
    await writeModuleIndex(join(temporary, "lib", "modules", record.version));
    await Deno.stat(join(temporary, "boot", `vmlinuz-${record.version}`));
    await Deno.writeTextFile(join(temporary, KERNEL_RECORD), JSON.stringify(record) + "\n");
    const directory = join(parent, `${DEBIAN_PREFIX}${record.version}`);
    await removeIfPresent(directory);
    await Deno.rename(temporary, directory);
    const kernel = await readKernel(directory);
    if (kernel === undefined) throw new FetchError(`${directory} holds no kernel`);
    return kernel;
  } catch (error) {
    await removeIfPresent(temporary);
    if (error instanceof Deno.errors.NotFound) {
      throw new FetchError(`${deb} is not the kernel package it should be: ${error.message}`);
    }
    throw error;
  }
}

async function removeIfPresent(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
