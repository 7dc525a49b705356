import type { Purpose } from "../setup/mod.ts";

/** One process that tests something. */
export interface Suite {
  readonly name: string;
  /** Arguments for `deno`. */
  readonly args: readonly string[];
  /** What it is told besides and may be replaced on the command line: files and folders. */
  readonly paths: readonly string[];
  /** `tests`: says itself how many passed. `check`: passes or fails as a whole. */
  readonly counts: "tests" | "check";
  /** Minutes after which it hangs. */
  readonly limit: number;
}

/** A kind of test, chosen by `--only`. */
export interface Kind {
  readonly purposes: readonly Purpose[];
  readonly suites: readonly Suite[];
}

/** Types are checked once, by the kind `check`. */
function testing(name: string, paths: readonly string[], limit: number): Suite {
  return { name, args: ["test", "-A", "--no-check"], paths, counts: "tests", limit };
}

function checking(name: string, ...args: string[]): Suite {
  return { name, args, paths: [], counts: "check", limit: 10 };
}

/**
 * The examples of the documentation. They find a VM without a machine, and what they start is one, too: see
 * documented_vm.ts.
 */
const examples: Suite = {
  name: "examples",
  args: ["test", "-A", "--doc", "--preload", "scripts/test/documented_vm.ts"],
  paths: ["mod.ts", "docs/library.md", "src/control/vm.ts", "src/control/errors.ts"],
  counts: "tests",
  limit: 5,
};

/** Every kind of test, the quick ones first. */
export const kinds: Readonly<Record<string, Kind>> = {
  check: {
    purposes: [],
    suites: [
      checking("format", "fmt", "--check"),
      checking("lint", "lint"),
      checking("types", "check", "--quiet"),
    ],
  },
  unit: { purposes: [], suites: [testing("unit", ["src", "scripts"], 20), examples] },
  interop: { purposes: ["test"], suites: [testing("interop", ["tests/interop"], 30)] },
  lab: {
    purposes: ["guest", "lab", "test"],
    suites: [testing("lab", ["tests/lab"], 50)],
  },
};
