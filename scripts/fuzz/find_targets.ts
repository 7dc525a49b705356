import { targets } from "../../tests/fuzz/fuzz.ts";
import type { FuzzTarget } from "../../tests/fuzz/mod.ts";
import { root } from "../root.ts";

const CALL = /\bfuzzTest\(\{\s*name: "([^"]+)"/g;

/** The files of all targets, by name. They are read and not loaded: a process has room for the memory of one only. */
export function findTargets(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const file of filesIn(`${root}src/`)) {
    for (const [, name] of Deno.readTextFileSync(file).matchAll(CALL)) found.set(name, file);
  }
  return found;
}

/** Loads a target. */
export async function loadTarget(name: string): Promise<FuzzTarget> {
  const file = findTargets().get(name);
  if (file !== undefined) await import(file);
  const target = targets.get(name);
  if (target === undefined) throw new Error(`There is no target ${name}`);
  return target;
}

function* filesIn(folder: string): Generator<string> {
  const entries = [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1);
  for (const { name, isDirectory } of entries) {
    if (isDirectory) yield* filesIn(`${folder}${name}/`);
    else if (name.endsWith("fuzz_test.ts")) yield `${folder}${name}`;
  }
}
