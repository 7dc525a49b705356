import { join } from "node:path";
import type { Progress } from "../progress.ts";
import { lockBuilds } from "./build_lock.ts";
import userMode from "./config/user_mode.config" with { type: "text" };
import { configureKernel } from "./configure_kernel.ts";
import { guestDrivers } from "./drivers.ts";
import { driversFragment, installDrivers } from "./guest_driver.ts";
import { KernelBuildError } from "./kernel_build_error.ts";
import { fetchKernelSource } from "./kernel_source.ts";
import { make } from "./make.ts";
import { requireToolchain } from "./toolchain.ts";

/**
 * Builds Linux as a program of this machine (User Mode Linux), with our drivers and the kernel's own checks of memory and
 * locks; for tests. Devices of vhost-user backends are named on its command line: `virtio_uml.device=SOCKET:ID`. What is
 * compiled already is not compiled again.
 *
 * @returns path of the program, in the cache folder
 * @throws {FetchError} when the source cannot be had
 * @throws {KernelBuildError} when packages are missing, an option of the configuration is lost, or make fails
 */
export async function buildUserModeKernel(cacheDir: string, progress: Progress): Promise<string> {
  await requireToolchain();
  using _lock = await lockBuilds(cacheDir, progress);
  const { tree, directory } = await fetchKernelSource(cacheDir, progress);
  await requireArchitecture(tree);
  const output = join(directory, "user-mode");
  await Deno.mkdir(output, { recursive: true });
  await installDrivers(tree, guestDrivers);
  const variables = { ARCH: "um" };
  const fragment = `${userMode}\n${driversFragment(guestDrivers)}`;
  await configureKernel({ tree, output, fragment, variables });
  progress("compiling Linux as a program");
  await make({ tree, output, variables, targets: ["linux"] });
  return join(output, "linux");
}

/** A source that was unpacked by an older version of this program lacks it. */
async function requireArchitecture(tree: string): Promise<void> {
  try {
    await Deno.stat(join(tree, "arch/um/kernel/um_arch.c"));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new KernelBuildError(`${tree} lacks arch/um. Remove it: it is fetched again.`);
  }
}
