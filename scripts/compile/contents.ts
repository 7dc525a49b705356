import { join } from "node:path";
import { monitorFlags, workerFlags } from "../../src/os/mod.ts";
import { INTERPRET_ONLY, workerEnvironment } from "../../src/sandbox/mod.ts";
import { bundled, products } from "../build/mod.ts";
import { root } from "../root.ts";
import { CompileError } from "./compile_error.ts";
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
  const { spectrum, device } = scripts ??
    { spectrum: await bundleOf("spectrum.js"), device: await bundleOf("device.js") };
  const product = async (name: string) => await Deno.readFile(join(root, "build", name));
  return {
    files: {
      shim: { name: "libspectrum.so", data: await product("libspectrum.so") },
      starter: { name: "starter", data: await product("starter"), executable: true },
      init: { name: "init", data: await product("init") },
      agent: { name: "agent", data: await product("agent") },
      vcpu: { name: "vcpu.js", data: encode(await bundleOf("vcpu.js")) },
    },
    roles: [
      {
        name: "spectrum-device",
        arguments: runScript(workerFlags),
        // A worker holds its script and the library, sealed, and nothing else of ours.
        files: ["shim"],
        script: (fileOf) => payload({ shim: own(fileOf("shim")) }),
        // In the script itself: a worker may not read another file.
        body: encode(device),
      },
      {
        name: "spectrum-serve",
        arguments: runScript(monitorFlags),
        files: ["shim", "starter"],
        script: (fileOf) =>
          payload({ shim: own(fileOf("shim")), starter: another(fileOf("starter")) }),
        body: encode(await bundleOf("serve.js")),
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
        body: encode(spectrum),
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

/** A bundle's text; it is minified, since nobody reads it and what is shorter starts sooner. */
async function bundleOf(name: string): Promise<string> {
  const recipe = products.find((product) => product.name === name)?.recipe;
  if (recipe?.kind !== "bundle") throw new CompileError(`There is no bundle ${name}.`);
  return await bundled(name, recipe.entry);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
