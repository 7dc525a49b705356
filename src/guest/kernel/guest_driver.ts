import { join } from "node:path";

/** A guest driver of ours that is built into our kernels: the folder `src/guest/NAME`, with its Kbuild and Kconfig. */
export interface GuestDriver {
  /** Name of the folder. */
  readonly name: string;
  /** Text by file name; the files lie flat in the folder. */
  readonly files: Readonly<Record<string, string>>;
}

/** Where our drivers lie in the kernel's source. */
const FOLDER = "drivers/spectrum";

/**
 * Makes a place for our drivers in an unpacked source: the kernel's build then looks into `drivers/spectrum`, whatever
 * drivers are there.
 */
export async function hookDrivers(tree: string): Promise<void> {
  await installDrivers(tree, []);
  await appendOnce(join(tree, "drivers", "Kconfig"), `source "${FOLDER}/Kconfig"`);
  await appendOnce(join(tree, "drivers", "Makefile"), "obj-y += spectrum/");
}

async function appendOnce(file: string, line: string): Promise<void> {
  const text = await Deno.readTextFile(file);
  if (!text.endsWith(`\n${line}\n`)) await Deno.writeTextFile(file, `${text}\n${line}\n`);
}

/**
 * Puts exactly these drivers into a source that has a place for them. Files that are the same already are left alone, so
 * that they are not compiled again.
 */
export async function installDrivers(
  tree: string,
  drivers: readonly GuestDriver[],
): Promise<void> {
  const folder = join(tree, FOLDER);
  const wanted = new Map<string, string>([
    ["Kconfig", drivers.map(({ name }) => `source "${FOLDER}/${name}/Kconfig"\n`).join("")],
    ["Makefile", drivers.map(({ name }) => `obj-y += ${name}/\n`).join("")],
  ]);
  for (const { name, files } of drivers) {
    for (const [file, text] of Object.entries(files)) wanted.set(`${name}/${file}`, text);
  }
  await Deno.mkdir(folder, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (!isDirectory) continue;
    for await (const file of Deno.readDir(join(folder, name))) {
      if (!wanted.has(`${name}/${file.name}`)) await Deno.remove(join(folder, name, file.name));
    }
    if (!drivers.some((driver) => driver.name === name)) await Deno.remove(join(folder, name));
  }
  for (const { name } of drivers) await Deno.mkdir(join(folder, name), { recursive: true });
  for (const [file, text] of wanted) await writeIfOther(join(folder, file), text);
}

async function writeIfOther(path: string, text: string): Promise<void> {
  try {
    if (await Deno.readTextFile(path) === text) return;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  await Deno.writeTextFile(path, text);
}

/** Asks for every option of the drivers' Kconfig files that can be switched on, as lines of a `.config`. */
export function driversFragment(drivers: readonly GuestDriver[]): string {
  return drivers.map(({ name, files }) => {
    const options = (files["Kconfig"] ?? "").matchAll(/^config (\w+)\n\s+(?:bool|tristate)\b/gm);
    return `# Our driver ${name}.\n` +
      [...options].map(([, option]) => `CONFIG_${option}=y\n`).join("");
  }).join("\n");
}
