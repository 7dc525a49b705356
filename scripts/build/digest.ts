import { createHash } from "node:crypto";
import { join } from "node:path";
import { root } from "../root.ts";

/** Files of a list of files and folders, relative to the repository, in a fixed order. */
export function filesOf(paths: readonly string[]): string[] {
  return paths.flatMap((path) => Deno.statSync(join(root, path)).isFile ? [path] : walk(path));
}

function walk(folder: string): string[] {
  const entries = [...Deno.readDirSync(join(root, folder))];
  return entries
    .sort((a, b) => a.name < b.name ? -1 : 1)
    .flatMap(({ name, isDirectory }) => {
      const path = `${folder}/${name}`;
      return isDirectory ? walk(path) : isSource(name) ? [path] : [];
    });
}

function isSource(name: string): boolean {
  return !name.endsWith("_test.ts") && !name.endsWith(".md");
}

/**
 * A hash over what a product is made of: its recipe, and its inputs' names and contents. Contents rather
 * than times, so that changing branches and back builds nothing.
 */
export function digest(recipe: unknown, inputs: readonly string[]): string {
  const hash = createHash("sha256").update(JSON.stringify(recipe));
  for (const file of filesOf(inputs)) {
    const content = Deno.readFileSync(join(root, file));
    hash.update(`\0${file}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}
