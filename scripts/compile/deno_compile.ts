import { join } from "node:path";
import { workerFlags } from "../../src/os/mod.ts";
import { root } from "../root.ts";
import { CompileError } from "./compile_error.ts";

const entry = "scripts/compile/compiled_main.ts";
const included = [
  "libspectrum.so",
  "starter",
  "init",
  "agent",
  "vcpu.js",
  "device.js",
  "spectrum.js",
];

/**
 * `deno compile`: its small runtime with our scripts.
 *
 * @throws {CompileError} also when the runtime cannot be downloaded
 */
export async function denoCompile(output: string): Promise<void> {
  const include = included.flatMap((name) => ["--include", join("build", name)]);
  // The engine's flags are those of workers, for all roles.
  const engine = workerFlags.filter((flag) => flag.startsWith("--v8-flags="));
  const flags = ["--allow-all", "--no-check", "--no-code-cache", ...engine];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["compile", ...flags, ...include, "--output", output, entry],
    cwd: root,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "inherit",
  }).output();
  if (success) return;
  const text = new TextDecoder().decode(stderr).trimEnd();
  if (!/denort/.test(text)) throw new CompileError(`deno compile failed:\n${text}`);
  const reason = /client error.*|error sending request.*/.exec(text)?.[0] ?? text;
  throw new CompileError(
    `The runtime of \`deno compile\` (denort) cannot be downloaded: ${reason}\n` +
      "Make the executable of the runtime that is here: deno task compile --self-contained",
  );
}
