import { join } from "node:path";
import { KernelBuildError } from "./kernel_build_error.ts";
import { lostOptions, parseKernelConfig } from "./kernel_config.ts";
import { make } from "./make.ts";

/**
 * Configures a build: as `tinyconfig` does it, everything that the fragment does not name stays off. (Merged into a
 * finished `.config`, the fragment would let in the defaults of whatever it makes possible.)
 *
 * @param fragment lines of a `.config`; of an option set twice the last counts
 * @throws {KernelBuildError} when an option did not become what it was asked to be, naming it
 */
export async function configureKernel(
  tree: string,
  output: string,
  fragment: string,
  signal?: AbortSignal,
): Promise<void> {
  const requested = parseKernelConfig(fragment);
  const all = join(output, "requested.config");
  await Deno.writeTextFile(
    all,
    [...requested].map(([option, value]) =>
      value === "n" ? `# CONFIG_${option} is not set\n` : `CONFIG_${option}=${value}\n`
    ).join(""),
  );
  await make({
    tree,
    output,
    targets: ["allnoconfig"],
    variables: { KCONFIG_ALLCONFIG: all },
    signal,
  });
  const lost = lostOptions(requested, parseKernelConfig(await readConfig(output)));
  if (lost.length > 0) {
    throw new KernelBuildError(
      "Cannot configure the kernel, as options did not become what they were asked to be:\n" +
        lost.map(({ option, requested, actual }) =>
          `  CONFIG_${option}: asked for ${requested}, is ${actual}`
        ).join("\n") +
        "\nLook for what they depend on in the source's Kconfig files.",
    );
  }
}

/** The `.config` in a build folder. */
export function readConfig(output: string): Promise<string> {
  return Deno.readTextFile(join(output, ".config"));
}
