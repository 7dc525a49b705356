import { join } from "node:path";
import type { Progress } from "../progress.ts";
import { lockBuilds } from "./build_lock.ts";
import { CompileProgress } from "./compile_progress.ts";
import { configureKernel } from "./configure_kernel.ts";
import { contentHash } from "./content_hash.ts";
import { kernelsDir } from "./debian_kernel.ts";
import { guestDrivers } from "./drivers.ts";
import { driversFragment, type GuestDriver, installDrivers } from "./guest_driver.ts";
import { KernelBuildError } from "./kernel_build_error.ts";
import { parseKernelConfig } from "./kernel_config.ts";
import { cachedKernelSource, fetchKernelSource, type KernelSource } from "./kernel_source.ts";
import { make } from "./make.ts";
import { type Profile, profileFragment } from "./profiles.ts";
import { run } from "../run.ts";
import {
  markNewest,
  readSmallKernel,
  SMALL_KERNEL_RECORD,
  type SmallKernel,
  smallKernelDir,
  type SmallKernelRecord,
} from "./small_kernel.ts";
import { requireToolchain } from "./toolchain.ts";

/** What to build, and how. */
export interface KernelBuildOptions {
  /** By default `app`. */
  readonly profile?: Profile;
  readonly cacheDir: string;
  readonly progress: Progress;
  /** Ends the build; the next one goes on where it stopped. */
  readonly signal?: AbortSignal;
  /** Look whether Debian has a newer source than that in the cache. */
  readonly newer?: boolean;
  /** Compilers at a time, by default one for each CPU. */
  readonly jobs?: number;
  /** By default those of the program. */
  readonly drivers?: readonly GuestDriver[];
}

/**
 * Builds a small kernel, `CACHE/kernels/small-PROFILE-VERSION-HASH/`, out of Debian's source, our configuration and our
 * drivers. One that was built from the same is used again; one that was interrupted goes on. Needs a C toolchain, and apt
 * for the source, neither root nor an installed package.
 *
 * @throws {FetchError} when the source cannot be had
 * @throws {KernelBuildError} when packages are missing, an option of the configuration is lost, or make fails
 * @throws the signal's reason when it is aborted
 */
export async function buildKernel(options: KernelBuildOptions): Promise<SmallKernel> {
  const { profile = "app", cacheDir, progress, signal, drivers = guestDrivers } = options;
  if (options.newer !== true) {
    const finished = await currentKernel(options);
    if (finished !== undefined) {
      await markNewest(finished);
      return finished;
    }
  }

  await requireToolchain();
  using _lock = await lockBuilds(cacheDir, progress);
  signal?.throwIfAborted();
  const source = await fetchKernelSource(cacheDir, progress, options)
    // A key that interrupts us also reaches apt and tar, whose complaints nobody wants to read then.
    .finally(() => signal?.throwIfAborted());
  const fragment = kernelFragment(profile, drivers);
  const what = await identity(profile, source, fragment, drivers);
  const meanwhile = await builtFrom(cacheDir, what);
  if (meanwhile !== undefined) {
    await markNewest(meanwhile);
    return meanwhile;
  }

  const output = join(source.directory, profile);
  await Deno.mkdir(output, { recursive: true });
  progress("configuring the kernel");
  await installDrivers(source.tree, drivers);
  await configureKernel({ tree: source.tree, output, fragment, signal });
  const compiled = await CompileProgress.start(output, profile, source.version, progress);
  await make({
    tree: source.tree,
    output,
    // vmlinux is on the way to bzImage.
    targets: ["bzImage"],
    jobs: options.jobs,
    signal,
    onLine: (line) => compiled.see(line),
  });
  progress("packing up the kernel");
  return await store(cacheDir, output, what);
}

/**
 * The kernel that was built from exactly what the program would build it from now: the source in the cache, its
 * configuration and drivers. Undefined when there is none.
 */
export async function currentKernel(
  { profile = "app", cacheDir, drivers = guestDrivers }: Pick<
    KernelBuildOptions,
    "profile" | "cacheDir" | "drivers"
  >,
): Promise<SmallKernel | undefined> {
  const source = await cachedKernelSource(cacheDir);
  if (source === undefined) return undefined;
  const fragment = kernelFragment(profile, drivers);
  return await builtFrom(cacheDir, await identity(profile, source, fragment, drivers));
}

/** All that is asked of the configuration of a kernel. */
export function kernelFragment(
  profile: Profile,
  drivers: readonly GuestDriver[] = guestDrivers,
): string {
  return `${profileFragment(profile)}\n${driversFragment(drivers)}`;
}

type Identity = Omit<SmallKernelRecord, "built" | "sizes">;

async function identity(
  profile: Profile,
  source: KernelSource,
  fragment: string,
  drivers: readonly GuestDriver[],
): Promise<Identity> {
  // The options, not the text: a comment makes no other kernel.
  const options = [...parseKernelConfig(fragment)].sort(([a], [b]) => a < b ? -1 : 1);
  const hash = await contentHash([profile, source.version, options, drivers]);
  return { profile, sourceVersion: source.version, contentHash: hash };
}

async function builtFrom(cacheDir: string, what: Identity): Promise<SmallKernel | undefined> {
  const kernel = await readSmallKernel(smallKernelDir(cacheDir, what));
  return kernel?.contentHash === what.contentHash ? kernel : undefined;
}

/** Copies what is kept beside its final place and renames, so that a kernel's folder is always whole. */
async function store(cacheDir: string, output: string, what: Identity): Promise<SmallKernel> {
  const parent = kernelsDir(cacheDir);
  await Deno.mkdir(parent, { recursive: true });
  const temporary = await Deno.makeTempDir({ dir: parent, prefix: ".building-" });
  try {
    await Deno.chmod(temporary, 0o755);
    const vmlinux = join(temporary, "vmlinux"), bzImage = join(temporary, "bzImage");
    const strip = await run("strip", ["-o", vmlinux, join(output, "vmlinux")]);
    if (!strip.success) throw new KernelBuildError("Cannot strip vmlinux.", strip.stderr.trim());
    await Deno.copyFile(join(output, "arch/x86/boot/bzImage"), bzImage);
    await Deno.copyFile(join(output, ".config"), join(temporary, "config"));
    await Deno.copyFile(join(output, "System.map"), join(temporary, "System.map"));
    const record: SmallKernelRecord = {
      ...what,
      built: new Date().toISOString(),
      sizes: {
        vmlinux: (await Deno.stat(vmlinux)).size,
        bzImage: (await Deno.stat(bzImage)).size,
      },
    };
    await Deno.writeTextFile(
      join(temporary, SMALL_KERNEL_RECORD),
      JSON.stringify(record, undefined, 2) + "\n",
    );
    const directory = smallKernelDir(cacheDir, what);
    await removeTree(directory);
    await Deno.rename(temporary, directory);
    const kernel = await readSmallKernel(directory);
    if (kernel === undefined) throw new KernelBuildError(`${directory} holds no kernel.`);
    return kernel;
  } catch (error) {
    await removeTree(temporary);
    throw error;
  }
}

async function removeTree(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
