import { join } from "node:path";
import type { Progress } from "../progress.ts";
import { contentHash } from "./content_hash.ts";
import { type GuestKernel, kernelsDir } from "./debian_kernel.ts";
import { fetchDebianHeaders } from "./fetch_debian_headers.ts";
import { driversFragment, type GuestDriver } from "./guest_driver.ts";
import { parseKernelConfig } from "./kernel_config.ts";
import { make } from "./make.ts";

/** What to build for which kernel. */
export interface ModuleBuildOptions {
  readonly cacheDir: string;
  readonly kernel: GuestKernel;
  readonly driver: GuestDriver;
  readonly progress: Progress;
  /** Every warning that the kernel's build knows is an error. */
  readonly strict?: boolean;
}

/**
 * Builds a driver of ours as a module for one of Debian's kernels, out of tree, in
 * `CACHE/kernels/modules-VERSION/NAME-HASH/`. One that was built from the same is used again.
 *
 * @returns the path of the `.ko`
 * @throws {FetchError} when the headers cannot be had
 * @throws {KernelBuildError} when it does not compile
 */
export async function buildDebianModule(options: ModuleBuildOptions): Promise<string> {
  const { cacheDir, kernel, driver, progress, strict = false } = options;
  const hash = await contentHash([kernel.version, kernel.packageVersion, driver, strict]);
  const parent = join(kernelsDir(cacheDir), `modules-${kernel.version}`);
  const directory = join(parent, `${driver.name}-${hash.slice(0, 12)}`);
  const file = `${driver.name}.ko`;
  try {
    await Deno.stat(join(directory, file));
    return join(directory, file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const headers = await fetchDebianHeaders(cacheDir, kernel, progress);
  progress(`building ${file} for ${kernel.version}`);
  await Deno.mkdir(parent, { recursive: true });
  const temporary = await Deno.makeTempDir({ dir: parent, prefix: ".building-" });
  try {
    for (const [name, text] of Object.entries(driver.files)) {
      await Deno.writeTextFile(join(temporary, name), text);
    }
    const switches = [...parseKernelConfig(driversFragment([driver])).keys()];
    await make({
      tree: headers,
      targets: ["modules"],
      variables: {
        M: temporary,
        // Debian's own names the exact version of its compiler.
        CC: "gcc",
        ...Object.fromEntries(switches.map((name) => [`CONFIG_${name}`, "m"])),
        ...(strict ? { W: "1", KCFLAGS: "-Werror" } : {}),
      },
    });
    await Deno.chmod(temporary, 0o755);
    await removeTree(directory);
    await Deno.rename(temporary, directory);
  } catch (error) {
    await removeTree(temporary);
    throw error;
  }
  return join(directory, file);
}

async function removeTree(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
