import { findTool } from "../execute.ts";
import type { FileSet } from "./file_set.ts";

/** Adds programs and the shared libraries that the dynamic linker would load for them. */
export async function addPrograms(files: FileSet, paths: readonly string[]): Promise<void> {
  for (const path of paths) await files.addFile(path);
  for (const library of await librariesOf(paths)) await files.addFile(library);
}

/** Absolute paths of the shared libraries and loaders of some programs; a static one has none. */
export async function librariesOf(paths: readonly string[]): Promise<string[]> {
  // One call for all: each start of ldd is a shell and a program. It fails when a single one is static.
  const { stdout } = await new Deno.Command(findTool("ldd"), {
    args: [...paths],
    env: { LC_ALL: "C" },
    stdin: "null",
    stderr: "null",
  }).output();
  // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`
  const found = new TextDecoder().decode(stdout).matchAll(/(\/\S+) \(0x/g);
  return [...new Set([...found].map((match) => match[1]))];
}
