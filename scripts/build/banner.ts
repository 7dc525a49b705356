import { monitorFlags, workerFlags } from "../../src/os/mod.ts";

/**
 * The first line of a bundle in `build/`: tells `src/os/payload.ts` where the other parts are. It yields to
 * a payload that is already set, as in the single executable, whose parts are elsewhere.
 */
export function banner(): string {
  const part = (name: string) => `import.meta.dirname + "/${name}"`;
  const fields = [
    `shim: ${part("libspectrum.so")}`,
    `starter: ${part("starter")}`,
    `vcpu: ${part("vcpu.js")}`,
    `init: ${part("init")}`,
    `agent: ${part("agent")}`,
    `get device() { return ${own(workerFlags, part("device.js"))}; }`,
    `get serve() { return ${own(monitorFlags, part("serve.js"))}; }`,
    `get command() { return ${own(monitorFlags, part("spectrum.js"))}; }`,
    `selfContained: false`,
  ];
  return `globalThis.spectrumPayload ??= { ${fields.join(", ")} };\n`;
}

function own(flags: readonly string[], script: string): string {
  return `[Deno.execPath(), "run", ...${JSON.stringify(flags)}, ${script}]`;
}
