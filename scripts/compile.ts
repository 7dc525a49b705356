// `deno task compile [--self-contained] [--output FILE]`: one executable file.
import { dirname, join, resolve } from "node:path";
import { BuildError } from "./build/mod.ts";
import { CompileError } from "./compile/compile_error.ts";
import { denoCompile } from "./compile/deno_compile.ts";
import { selfContained } from "./compile/self_contained.ts";
import { ready } from "./ready.ts";
import { root } from "./root.ts";

const USAGE = `Makes one executable file, by default dist/spectrum.

  deno task compile                     with the small runtime of deno compile, which it downloads
  deno task compile --self-contained    with the runtime that is here
  deno task compile … --output FILE     elsewhere`;

const words = Deno.args.filter((word) => word !== "--");
const isSelfContained = take("--self-contained");
const output = takeValue("--output") ?? join(root, "dist/spectrum");
if (words.length > 0) {
  console.error(USAGE);
  Deno.exit(words[0] === "--help" ? 0 : 1);
}
await ready();
try {
  await Deno.mkdir(dirname(output), { recursive: true });
  const temporary = `${output}.${Deno.pid}`;
  try {
    if (isSelfContained) {
      await Deno.writeFile(temporary, await selfContained(Deno.execPath()), { mode: 0o755 });
    } else {
      await denoCompile(temporary);
    }
    await Deno.rename(temporary, output);
  } finally {
    await Deno.remove(temporary).catch(() => {});
  }
  const { size } = await Deno.stat(output);
  console.error(`${output}: ${(size / 1e6).toFixed(1)} MB`);
} catch (error) {
  if (!(error instanceof CompileError || error instanceof BuildError)) throw error;
  console.error(error.message);
  Deno.exit(2);
}

function take(option: string): boolean {
  const at = words.indexOf(option);
  if (at >= 0) words.splice(at, 1);
  return at >= 0;
}

function takeValue(option: string): string | undefined {
  const at = words.indexOf(option);
  if (at < 0) return undefined;
  const [, value] = words.splice(at, 2);
  return value === undefined ? undefined : resolve(Deno.env.get("INIT_CWD") ?? ".", value);
}
