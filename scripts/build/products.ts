import { AGENT_PORT } from "../../src/agent/mod.ts";

/** Something that `deno task build` makes in `build/`. */
export interface Product {
  /** File name in `build/`. */
  readonly name: string;
  /** One line for those who wait. */
  readonly what: string;
  /** Files and folders it is made of, relative to the repository. */
  readonly inputs: readonly string[];
  readonly recipe: CRecipe | BundleRecipe;
}

/** Compiled with gcc. */
export interface CRecipe {
  readonly kind: "c";
  /** A file, or a folder of which all `.c` files are. */
  readonly source: string;
  readonly flags: readonly string[];
}

/** Bundled with `deno bundle`. */
export interface BundleRecipe {
  readonly kind: "bundle";
  readonly entry: string;
  /** A process begins with the line that says where the other parts are; a thread is told by its parent. */
  readonly runs: "process" | "thread";
}

const warnings = ["-O2", "-Wall", "-Wextra", "-Werror"];
const program = [...warnings, "-static", "-s"];
const script = ["src", "main.ts", "deno.json", "deno.lock", "scripts/build"];

/** Everything in `build/`. */
export const products: readonly Product[] = [
  {
    name: "libspectrum.so",
    what: "the native library",
    inputs: ["ffi"],
    recipe: {
      kind: "c",
      source: "ffi/shim.c",
      flags: [...warnings, "-shared", "-fPIC", "-fvisibility=hidden"],
    },
  },
  {
    name: "starter",
    what: "the starter of workers",
    inputs: ["ffi"],
    recipe: { kind: "c", source: "ffi/starter.c", flags: program },
  },
  {
    name: "init",
    what: "the guest's init",
    inputs: ["src/guest/init"],
    // Names from sysfs are short; that snprintf would cut a long one is what we want of it.
    recipe: {
      kind: "c",
      source: "src/guest/init/init.c",
      flags: [...program, "-Wno-format-truncation"],
    },
  },
  {
    name: "agent",
    what: "the guest's agent",
    inputs: ["src/guest/agent"],
    recipe: {
      kind: "c",
      source: "src/guest/agent",
      flags: [...program, `-DAGENT_PORT=${AGENT_PORT}`],
    },
  },
  {
    name: "spectrum.js",
    what: "command line and monitor",
    inputs: script,
    recipe: { kind: "bundle", entry: "main.ts", runs: "process" },
  },
  {
    name: "device.js",
    what: "device worker",
    inputs: script,
    recipe: { kind: "bundle", entry: "src/devices/main.ts", runs: "process" },
  },
  {
    name: "serve.js",
    what: "what serves devices in a guest",
    inputs: script,
    recipe: { kind: "bundle", entry: "src/guest/serve/main.ts", runs: "process" },
  },
  {
    name: "vcpu.js",
    what: "vCPU thread",
    inputs: script,
    recipe: { kind: "bundle", entry: "src/vcpu/thread.ts", runs: "thread" },
  },
];
