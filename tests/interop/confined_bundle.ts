import config from "../../deno.json" with { type: "json" };
import { bundled } from "../../scripts/build/mod.ts";
import { monitorFlags, payload } from "../../src/os/mod.ts";

/** As `deno task spectrum` starts it: with the runtime's caches. */
const TASK_FLAGS = [
  ...config.tasks.spectrum.command.split(" ").filter((word) => word.startsWith("-")),
  "--no-config",
];

/** Ways to start a monitor: flags of the runtime. */
export const startingWays: Readonly<Record<string, readonly string[]>> = {
  "by itself": monitorFlags,
  "from a task": TASK_FLAGS,
};

/** The environment of such a monitor, with the runtime's caches in a folder. */
export const startingEnvironment = (folder: string) => ({
  DENO_DIR: `${folder}/cache`,
  DENO_NO_UPDATE_CHECK: "1",
});

/** confined_vm.ts as a script that finds the parts of this program where we do. */
export async function confinedBundle(): Promise<string> {
  const { device, ...parts } = payload();
  const places = JSON.stringify({ ...parts, device: [...device] });
  const program = new URL("confined_vm.ts", import.meta.url).pathname;
  return `globalThis.spectrumPayload = ${places};\n${await bundled("confined_vm", program)}`;
}
