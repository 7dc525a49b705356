import { join } from "node:path";
import { root } from "../root.ts";
import { banner } from "./banner.ts";
import { BuildError } from "./build_error.ts";
import { asScript, evaluated } from "./evaluated.ts";
import { lighten } from "./light_node/mod.ts";
import type { BundleRecipe, CRecipe, Product } from "./products.ts";

/**
 * Makes one product. It appears under its name only when it is complete, so that builds at the same time do
 * no harm.
 *
 * @throws {BuildError}
 */
export async function make({ name, recipe }: Product, folder: string): Promise<void> {
  const output = join(folder, `.${name}.${Deno.pid}`);
  try {
    if (recipe.kind === "c") await compile(name, recipe, output);
    else await bundle(name, recipe, output);
    await Deno.rename(output, join(folder, name));
  } finally {
    await Deno.remove(output).catch(() => {});
  }
}

async function compile(name: string, { source, flags }: CRecipe, output: string): Promise<void> {
  const path = join(root, source);
  const files = (await Deno.stat(path)).isDirectory
    ? [...Deno.readDirSync(path)].map((entry) => join(path, entry.name)).filter((file) =>
      file.endsWith(".c")
    ).sort()
    : [path];
  await execute(name, "gcc", [...flags, "-o", output, ...files]);
}

async function bundle(name: string, recipe: BundleRecipe, output: string): Promise<void> {
  const module = await bundled(name, recipe.entry);
  const text = recipe.runs === "process"
    ? banner() + evaluated(name, module)
    : asScript(name, module);
  await Deno.writeTextFile(output, text);
}

/**
 * A program as one module, with light modules in place of Node's, and made short: 100 kB more are 2 ms of each start.
 *
 * @throws {BuildError}
 */
export async function bundled(name: string, entry: string): Promise<string> {
  const scratch = await Deno.makeTempDir({ prefix: "spectrum-bundle-" });
  const bundle = async (from: string, to: string, ...flags: string[]) => {
    await execute(name, Deno.execPath(), ["bundle", "--quiet", ...flags, "-o", to, from]);
    return await Deno.readTextFile(to);
  };
  try {
    const light = join(scratch, "light.js");
    await Deno.writeTextFile(light, lighten(await bundle(entry, join(scratch, "plain.js"))));
    return await bundle(light, join(scratch, "bundle.js"), "--minify");
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

async function execute(product: string, program: string, args: string[]): Promise<void> {
  let result: Deno.CommandOutput;
  try {
    const command = new Deno.Command(program, { args, cwd: root, stdin: "null" });
    result = await command.output();
  } catch (error) {
    throw new BuildError(product, `${program}: ${error instanceof Error ? error.message : error}`);
  }
  const text = new TextDecoder();
  if (!result.success) {
    throw new BuildError(product, text.decode(result.stdout) + text.decode(result.stderr));
  }
}
