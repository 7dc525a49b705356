/** Makes what is stale in `build/`: the native library, the static programs, one bundle per role. */

import { join } from "node:path";
import { root } from "../root.ts";
import { digest } from "./digest.ts";
import { make } from "./make.ts";
import { type Product, products } from "./products.ts";

export { BuildError } from "./build_error.ts";
export { bundled } from "./make.ts";
export { products } from "./products.ts";

const folder = join(root, "build");

/** The products that have to be made, each with the digest of what it is made of. */
export function staleProducts(names?: readonly string[]): Map<Product, string> {
  const stale = new Map<Product, string>();
  for (const product of products) {
    if (names !== undefined && !names.includes(product.name)) continue;
    const recipe = { ...product.recipe, deno: Deno.version.deno };
    const wanted = digest(recipe, product.inputs);
    if (stampOf(product) !== wanted || !exists(join(folder, product.name))) {
      stale.set(product, wanted);
    }
  }
  return stale;
}

/**
 * Brings `build/` up to date.
 *
 * @param names only these products; by default all
 * @param report is told what is being made
 * @returns the names of what was made
 * @throws {BuildError}
 */
export async function build(
  names?: readonly string[],
  report: (line: string) => void = () => {},
): Promise<string[]> {
  const stale = staleProducts(names);
  if (stale.size > 0) await Deno.mkdir(join(folder, ".stamps"), { recursive: true });
  for (const [product, wanted] of stale) {
    report(`Building build/${product.name} (${product.what})`);
    await make(product, folder);
    await Deno.writeTextFile(stampPath(product), wanted);
  }
  return [...stale.keys()].map(({ name }) => name);
}

function stampPath({ name }: Product): string {
  return join(folder, ".stamps", name);
}

function stampOf(product: Product): string | undefined {
  try {
    return Deno.readTextFileSync(stampPath(product));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
