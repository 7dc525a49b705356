import { join } from "node:path";
import { ModuleIndex } from "../modules/mod.ts";
import type { CpioEntry } from "./cpio.ts";

/** Which modules an initial RAM disk holds. */
export interface ModuleChoice {
  /** Those that it cannot do without. */
  readonly needed: readonly string[];
  /** Loaded as well, where the kernel has them. */
  readonly wanted?: readonly string[];
  /** For each name a list of its own, `modules/NAME.order`, for those that are loaded only if need be. */
  readonly onDemand?: readonly string[];
}

/**
 * Kernel modules for an initial RAM disk: their files below `modules/`, and `modules/order` with their paths in an
 * order of loading that works. Those that the kernel has built in are left out.
 *
 * @param modulesDir `…/lib/modules/VERSION`
 * @throws {ModuleMissingError}
 */
export async function moduleEntries(
  modulesDir: string,
  { needed, wanted = [], onDemand = [] }: ModuleChoice,
): Promise<CpioEntry[]> {
  const index = await ModuleIndex.read(modulesDir);
  const present = (names: readonly string[]) => names.filter((name) => index.has(name));
  const orders = new Map([["order", index.closure([...needed, ...present(wanted)])]]);
  for (const name of present(onDemand)) orders.set(`${name}.order`, index.closure([name]));
  const entries: CpioEntry[] = [...orders].map(([name, paths]) => ({
    kind: "file",
    path: `modules/${name}`,
    data: new TextEncoder().encode(paths.map((path) => `${path}\n`).join("")),
  }));
  for (const path of new Set([...orders.values()].flat())) {
    const data = await Deno.readFile(join(modulesDir, path));
    entries.push({ kind: "file", path: `modules/${path}`, data });
  }
  return entries;
}
