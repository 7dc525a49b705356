import { join } from "node:path";
import { workerFlags } from "../../src/os/mod.ts";
import { workerEnvironment } from "../../src/sandbox/mod.ts";
import { root } from "../root.ts";
import type { Contents } from "./image.ts";

type File = "shim" | "starter" | "init" | "vcpu" | "device" | "spectrum";

/** The monitor may do everything: it is the user's own program, and it is what confines the others. */
const monitorFlags = workerFlags.map((flag) => flag === "--allow-ffi" ? "--allow-all" : flag);

const runScript = (flags: readonly string[]) => ["run", ...flags, "--ext=js"];

/** What `dist/spectrum` carries, from the products in `build/`. */
export async function contents(): Promise<Contents<File>> {
  const product = async (name: string) => await Deno.readFile(join(root, "build", name));
  return {
    files: {
      shim: { name: "libspectrum.so", data: await product("libspectrum.so") },
      starter: { name: "starter", data: await product("starter"), executable: true },
      init: { name: "init", data: await product("init") },
      vcpu: { name: "vcpu.js", data: await product("vcpu.js") },
      device: { name: "device.js", data: await product("device.js") },
      spectrum: { name: "spectrum.js", data: await product("spectrum.js") },
    },
    roles: [
      {
        name: "spectrum-device",
        arguments: runScript(workerFlags),
        // A worker holds its script and the library, sealed, and nothing else of ours.
        files: ["shim", "device"],
        prefix: (fileOf) => payload({ shim: own(fileOf("shim")) }),
      },
      {
        name: "",
        arguments: runScript(monitorFlags),
        files: ["shim", "starter", "init", "vcpu", "spectrum"],
        prefix: (fileOf) =>
          payload({
            shim: own(fileOf("shim")),
            // By the number of this process: the child that runs it has closed its own descriptors.
            starter: "`/proc/${Deno.pid}/fd/" + fileOf("starter") + "`",
            vcpu: own(fileOf("vcpu")),
            init: own(fileOf("init")),
          }),
      },
    ],
    environment: { ...fixedEnvironment(), DENO_NO_PACKAGE_JSON: "1" },
    dropped: ["DENO_", "NODE_OPTIONS="],
  };
}

/** As workers have it, without what is the user's taste. */
function fixedEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(workerEnvironment()).filter(([name]) => name.startsWith("DENO_")),
  );
}

function own(descriptor: string): string {
  return `"/proc/self/fd/${descriptor}"`;
}

/** The script's first line: what `src/os/payload.ts` hands out, as JavaScript. */
function payload(paths: Partial<Record<"shim" | "starter" | "vcpu" | "init", string>>): string {
  const { shim = '""', starter = '""', vcpu = '""', init = '""' } = paths;
  return `globalThis.spectrumPayload = { shim: ${shim}, starter: ${starter}, vcpu: ${vcpu}, ` +
    `init: ${init}, device: ["spectrum-device"], selfContained: true };\n`;
}
