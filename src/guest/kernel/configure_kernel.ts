import { join } from "node:path";
import { KernelBuildError } from "./kernel_build_error.ts";
import { lostOptions, parseKernelConfig } from "./kernel_config.ts";
import { make, type MakeOptions } from "./make.ts";

/** What is configured, and how. */
export interface Configuration extends Pick<MakeOptions, "tree" | "variables" | "signal"> {
  readonly output: string;
  /** Lines of a `.config`; of an option set twice the last counts. */
  readonly fragment: string;
}

/**
 * Configures a build: as `tinyconfig` does it, everything that the fragment does not name stays off. (Merged into a
 * finished `.config`, the fragment would let in the defaults of whatever it makes possible.)
 *
 * @throws {KernelBuildError} when an option did not become what it was asked to be, naming it
 */
export async function configureKernel(
  { tree, output, fragment, variables, signal }: Configuration,
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
    variables: { ...variables, KCONFIG_ALLCONFIG: all },
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
