import { basename, join } from "node:path";

/** A kernel module is asked for that the kernel neither has as a file nor built in. */
export class ModuleMissingError extends Error {
  constructor(readonly module: string, readonly modulesDir: string) {
    super(`There is no kernel module "${module}" in ${modulesDir}`);
    this.name = "ModuleMissingError";
  }
}

/** `kernel/drivers/block/virtio_blk.ko` → `virtio_blk`; `-` and `_` mean the same in module names. */
export function moduleName(path: string): string {
  return basename(path).replace(/\.ko(\.\w+)?$/, "").replaceAll("-", "_");
}

/** The modules of a kernel and what each needs, from `modules.dep`, `modules.softdep` and `modules.builtin`. */
export class ModuleIndex {
  readonly #modulesDir: string;
  readonly #needs = new Map<string, { path: string; needs: readonly string[] }>();
  readonly #softPre = new Map<string, readonly string[]>();
  readonly #builtin = new Set<string>();

  private constructor(modulesDir: string) {
    this.#modulesDir = modulesDir;
  }

  /** @param modulesDir `…/lib/modules/VERSION` */
  static async read(modulesDir: string): Promise<ModuleIndex> {
    const index = new ModuleIndex(modulesDir);
    for (const line of await lines(join(modulesDir, "modules.dep"))) {
      const [path, needs] = line.split(":");
      if (needs === undefined) continue;
      index.#needs.set(moduleName(path), {
        path,
        needs: needs.split(" ").filter((word) => word !== ""),
      });
    }
    for (const line of await lines(join(modulesDir, "modules.softdep"))) {
      const match = /^softdep (\S+) pre: (.*?)( post:.*)?$/.exec(line);
      if (match !== null) index.#softPre.set(moduleName(match[1]), match[2].split(" "));
    }
    for (const line of await lines(join(modulesDir, "modules.builtin"))) {
      index.#builtin.add(moduleName(line));
    }
    return index;
  }

  /** Whether the kernel has a module, as a file or built in. */
  has(name: string): boolean {
    return this.#needs.has(moduleName(name)) || this.#builtin.has(moduleName(name));
  }

  /**
   * What to load for these modules, in an order that works, each once: paths relative to the modules folder.
   * Those built into the kernel need no loading.
   *
   * @throws {ModuleMissingError}
   */
  closure(names: readonly string[]): string[] {
    const order = new Set<string>();
    for (const name of names) this.#add(moduleName(name), order);
    return [...order];
  }

  #add(name: string, order: Set<string>): void {
    const entry = this.#needs.get(name);
    if (entry === undefined) {
      if (this.#builtin.has(name)) return;
      throw new ModuleMissingError(name, this.#modulesDir);
    }
    if (order.has(entry.path)) return;
    for (const soft of this.#softPre.get(name) ?? []) {
      if (this.#needs.has(moduleName(soft))) this.#add(moduleName(soft), order);
    }
    // modules.dep lists all that is needed, the last one to be loaded first.
    for (const path of entry.needs.toReversed()) this.#add(moduleName(path), order);
    order.add(entry.path);
  }
}

async function lines(path: string): Promise<string[]> {
  try {
    return (await Deno.readTextFile(path)).split("\n").filter((line) =>
      line !== "" && !line.startsWith("#")
    );
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
