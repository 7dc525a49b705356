import { join } from "node:path";
import { monitorFlags, workerFlags } from "../../src/os/mod.ts";
import { INTERPRET_ONLY, workerEnvironment } from "../../src/sandbox/mod.ts";
import { root } from "../root.ts";
import type { Contents } from "./image.ts";

type File = "shim" | "starter" | "init" | "agent" | "vcpu";

const runScript = (flags: readonly string[]) => ["run", ...flags, "--ext=js"];

/** Bundles that an executable runs. */
export interface Scripts {
  readonly spectrum: string;
  readonly device: string;
}

/**
 * What `dist/spectrum` carries, from the products in `build/`.
 *
 * @param scripts others than the command line and the device worker, for tests of what these have around them
 */
export async function contents(scripts?: Scripts): Promise<Contents<File>> {
  const product = async (name: string) => await Deno.readFile(join(root, "build", name));
  const script = async (name: keyof Scripts) =>
    scripts === undefined ? await product(`${name}.js`) : new TextEncoder().encode(scripts[name]);
  return {
    files: {
      shim: { name: "libspectrum.so", data: await product("libspectrum.so") },
      starter: { name: "starter", data: await product("starter"), executable: true },
      init: { name: "init", data: await product("init") },
      agent: { name: "agent", data: await product("agent") },
      vcpu: { name: "vcpu.js", data: await product("vcpu.js") },
    },
    roles: [
      {
        name: "spectrum-device",
        arguments: runScript(workerFlags),
        // A worker holds its script and the library, sealed, and nothing else of ours.
        files: ["shim"],
        script: (fileOf) => payload({ shim: own(fileOf("shim")) }),
        // In the script itself: a worker may not read another file.
        body: await script("device"),
      },
      {
        name: "spectrum-serve",
        arguments: runScript(monitorFlags),
        files: ["shim", "starter"],
        script: (fileOf) =>
          payload({ shim: own(fileOf("shim")), starter: another(fileOf("starter")) }),
        body: await product("serve.js"),
      },
      {
        name: "",
        arguments: runScript(monitorFlags),
        files: ["shim", "starter", "init", "agent", "vcpu"],
        script: (fileOf) =>
          payload({
            shim: own(fileOf("shim")),
            starter: another(fileOf("starter")),
            vcpu: own(fileOf("vcpu")),
            init: own(fileOf("init")),
            agent: own(fileOf("agent")),
          }),
        body: await script("spectrum"),
      },
    ],
    environment: { ...fixedEnvironment(), DENO_NO_PACKAGE_JSON: "1" },
    dropped: ["DENO_", "NODE_OPTIONS="],
    kept: [`DENO_V8_FLAGS=${INTERPRET_ONLY}`],
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

/** By the number of this process: the child that runs it has closed its own descriptors. */
function another(descriptor: string): string {
  return "`/proc/${Deno.pid}/fd/" + descriptor + "`";
}

/** What `src/os/payload.ts` hands out, as JavaScript. */
function payload(
  paths: Partial<Record<"shim" | "starter" | "vcpu" | "init" | "agent", string>>,
): string {
  const { shim = '""', starter = '""', vcpu = '""', init = '""', agent = '""' } = paths;
  return `globalThis.spectrumPayload = { shim: ${shim}, starter: ${starter}, vcpu: ${vcpu}, ` +
    `init: ${init}, agent: ${agent}, device: ["spectrum-device"], serve: ["spectrum-serve"], command: ["/proc/self/exe"], selfContained: true };\n`;
}
