import { eachLine } from "../lines.ts";
import { KernelBuildError } from "./kernel_build_error.ts";

/** How to run `make` in the kernel's source. */
export interface MakeOptions {
  /** The kernel's source. */
  readonly tree: string;
  /** Where what is built goes, by default the source. */
  readonly output?: string;
  readonly targets: readonly string[];
  /** Variables for make's command line. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Compilers at a time, by default one for each CPU. */
  readonly jobs?: number;
  /** Ends the build; what is compiled by then need not be compiled again. */
  readonly signal?: AbortSignal;
  /** Is given each line of stdout. */
  readonly onLine?: (line: string) => void;
}

/** How many of the last lines of stderr an error shows: the first error among them, as a rule. */
const SHOWN_LINES = 25;

/**
 * Same bytes from the same source: time, user and host would be written into the kernel. The time is what `uname -v`
 * shows; any will do.
 */
const REPRODUCIBLE = {
  KBUILD_BUILD_TIMESTAMP: "2026-01-01",
  KBUILD_BUILD_USER: "spectrum",
  KBUILD_BUILD_HOST: "spectrum",
};

/**
 * Runs `make` with the least priority.
 *
 * @throws {KernelBuildError} when it fails
 * @throws the signal's reason when it is aborted
 */
export async function make(options: MakeOptions): Promise<void> {
  const { tree, output, targets, jobs = navigator.hardwareConcurrency, signal } = options;
  signal?.throwIfAborted();
  const variables = {
    ...REPRODUCIBLE,
    ...options.variables,
    ...(output === undefined ? {} : { O: output }),
  };
  const child = new Deno.Command("nice", {
    args: [
      "-n",
      "19",
      "make",
      "-C",
      tree,
      `-j${jobs}`,
      ...Object.entries(variables).map(([name, value]) => `${name}=${value}`),
      ...targets,
    ],
    // Settings of the caller's own make or compiler must not reach the kernel's.
    clearEnv: true,
    env: { LC_ALL: "C", PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // make passes the signal on to its compilers and removes what they have not finished.
  const stop = () => child.kill("SIGTERM");
  signal?.addEventListener("abort", stop);
  try {
    const errors: string[] = [];
    const [, , status] = await Promise.all([
      eachLine(child.stdout, (line) => options.onLine?.(line)),
      eachLine(child.stderr, (line) => {
        if (errors.push(line) > SHOWN_LINES) errors.shift();
      }),
      child.status,
    ]);
    signal?.throwIfAborted();
    if (!status.success) {
      throw new KernelBuildError(
        `Cannot build the kernel: make ${targets.join(" ")} failed in ${output ?? tree}.`,
        errors.join("\n"),
      );
    }
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
