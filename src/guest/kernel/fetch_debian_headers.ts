import { join } from "node:path";
import type { Progress } from "../progress.ts";
import { type GuestKernel, kernelsDir } from "./debian_kernel.ts";
import { FetchError } from "../fetch_error.ts";
import { PrivateApt } from "../apt/private_apt.ts";
import { requireApt } from "../apt/require_apt.ts";
import { run } from "../run.ts";

/** The package of programs that a build of modules runs. */
const TOOLS_PACKAGE = "linux-kbuild-6.1";

/**
 * What modules for one of Debian's kernels are built against, in `CACHE/kernels/headers-VERSION/`: as three packages bring
 * it, but without being installed and in a place of its own.
 *
 * @returns the folder for make's `-C`
 * @throws {FetchError} without apt or network, or when Debian has no headers of that kernel any more
 */
export async function fetchDebianHeaders(
  cacheDir: string,
  kernel: GuestKernel,
  progress: Progress,
): Promise<string> {
  const directory = join(kernelsDir(cacheDir), `headers-${kernel.version}`);
  const headers = join(directory, "usr", "src", `linux-headers-${kernel.version}`);
  if (await exists(headers)) return headers;
  await requireApt("the kernel's headers");
  const aptDir = join(cacheDir, "apt");
  await Deno.mkdir(aptDir, { recursive: true });
  // Two at once would fight over apt's lists: the second waits, then finds what the first one fetched.
  using lock = await Deno.open(join(aptDir, "lock"), { create: true, write: true });
  await lock.lock(true);
  if (await exists(headers)) return headers;
  const apt = await PrivateApt.open(aptDir);
  await apt.update(progress);
  const name = `linux-headers-${kernel.version}`;
  const info = await apt.info(name);
  if (info.version !== kernel.packageVersion) {
    throw new FetchError(
      `Debian has headers of ${kernel.version} ${info.version}, not ${kernel.packageVersion}. ` +
        "Fetch the newest kernel: spectrum kernel fetch --newer",
    );
  }
  const temporary = await Deno.makeTempDir({ dir: kernelsDir(cacheDir), prefix: ".unpacking-" });
  try {
    for (const part of [name, await apt.dependency(name), TOOLS_PACKAGE]) {
      const deb = await apt.download(await apt.info(part), progress);
      progress(`unpacking ${part}`);
      const result = await run("dpkg-deb", ["-x", deb, temporary]);
      if (!result.success) {
        throw new FetchError(`Cannot unpack ${deb}: dpkg-deb failed.`, result.stderr.trim());
      }
      await Deno.remove(deb);
    }
    await detach(join(temporary, "usr", "src", name, "Makefile"));
    await Deno.chmod(temporary, 0o755);
    await Deno.rename(temporary, directory);
  } catch (error) {
    await Deno.remove(temporary, { recursive: true });
    throw error;
  }
  return headers;
}

/** Debian's headers name the place where the package would be installed; ours are found from where they are. */
async function detach(makefile: string): Promise<void> {
  const text = await Deno.readTextFile(makefile);
  await Deno.writeTextFile(
    makefile,
    text.replace(/^include \/usr\/src\//m, "include $(dir $(lastword $(MAKEFILE_LIST)))../"),
  );
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
