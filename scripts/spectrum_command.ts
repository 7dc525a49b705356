import { monitorFlags } from "../src/os/mod.ts";
import { root } from "./root.ts";

/**
 * The command line of the program as it was built: what `deno task spectrum` comes to, without a look at what is stale, so
 * that it also runs in the lab. The flags are a worker's, with all permissions: no look at caches and configuration.
 */
export const spectrumCommand: readonly string[] = [
  Deno.execPath(),
  "run",
  ...monitorFlags,
  `${root}build/spectrum.js`,
];
