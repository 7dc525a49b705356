import { join, relative } from "node:path";
import { moduleName } from "./module_index.ts";
import { type ModuleInfo, readModuleInfo } from "./module_info.ts";

/**
 * Writes `modules.dep`, `modules.softdep` and `modules.alias` of a modules folder: what `depmod` does when a kernel
 * package is installed, which a merely unpacked one lacks.
 *
 * @param modulesDir `…/lib/modules/VERSION`
 */
export async function writeModuleIndex(modulesDir: string): Promise<void> {
  const paths: string[] = [];
  await collect(modulesDir, modulesDir, paths);
  paths.sort();
  const infos = new Map<string, { path: string; info: ModuleInfo }>();
  for (const path of paths) {
    const info = readModuleInfo(await Deno.readFile(join(modulesDir, path)), path);
    infos.set(moduleName(path), { path, info });
  }
  let dep = "", softdep = "# Soft dependencies\n", alias = "# Aliases\n";
  for (const [name, { path, info }] of infos) {
    const needed = [...transitive(name, infos)].map((other) => infos.get(other)?.path);
    dep += `${path}:${needed.map((other) => ` ${other}`).join("")}\n`;
    if (info.softPre.length > 0) softdep += `softdep ${name} pre: ${info.softPre.join(" ")}\n`;
    for (const pattern of info.aliases) alias += `alias ${pattern} ${name}\n`;
  }
  await Deno.writeTextFile(join(modulesDir, "modules.dep"), dep);
  await Deno.writeTextFile(join(modulesDir, "modules.softdep"), softdep);
  await Deno.writeTextFile(join(modulesDir, "modules.alias"), alias);
}

/** Names of all that a module needs, itself not included, in reverse order of loading as depmod has it. */
function transitive(name: string, infos: ReadonlyMap<string, { info: ModuleInfo }>): Set<string> {
  const loaded: string[] = [];
  const visit = (current: string) => {
    if (loaded.includes(current)) return;
    for (const other of infos.get(current)?.info.depends ?? []) {
      // What is built in has no file and needs none.
      if (infos.has(moduleName(other))) visit(moduleName(other));
    }
    loaded.push(current);
  };
  visit(name);
  loaded.pop();
  return new Set(loaded.reverse());
}

async function collect(root: string, directory: string, into: string[]): Promise<void> {
  for await (const entry of Deno.readDir(directory)) {
    const path = join(directory, entry.name);
    if (entry.isDirectory) await collect(root, path, into);
    else if (entry.name.endsWith(".ko")) into.push(relative(root, path));
  }
}
