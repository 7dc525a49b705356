import { join } from "node:path";
import { ModuleIndex } from "../modules/mod.ts";
import type { CpioEntry } from "./cpio.ts";

/**
 * Kernel modules for an initial RAM disk: their files below `modules/`, and `modules/order` with their paths in an
 * order of loading that works. Those that the kernel has built in are left out.
 *
 * @param optional those that may be missing altogether
 * @throws {ModuleMissingError}
 */
export async function moduleEntries(
  modulesDir: string,
  names: readonly string[],
  optional: readonly string[] = [],
): Promise<CpioEntry[]> {
  const index = await ModuleIndex.read(modulesDir);
  const paths = index.closure([...names, ...optional.filter((name) => index.has(name))]);
  const order = paths.map((path) => `${path}\n`).join("");
  const entries: CpioEntry[] = [
    { kind: "file", path: "modules/order", data: new TextEncoder().encode(order) },
  ];
  for (const path of paths) {
    entries.push({
      kind: "file",
      path: `modules/${path}`,
      data: await Deno.readFile(join(modulesDir, path)),
    });
  }
  return entries;
}
