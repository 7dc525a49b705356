import { execute } from "../execute.ts";
import type { FileSet } from "./file_set.ts";

/** Adds a program and the shared libraries that the dynamic linker would load for it. */
export async function addProgram(files: FileSet, path: string): Promise<void> {
  await files.addFile(path);
  for (const library of await librariesOf(path)) await files.addFile(library);
}

/** Absolute paths of a program's shared libraries and loader; none for a static one. */
export async function librariesOf(path: string): Promise<string[]> {
  let text: string;
  try {
    text = await execute("ldd", [path]);
  } catch {
    return []; // "not a dynamic executable" is an error for ldd
  }
  // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`
  return [...text.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]);
}
