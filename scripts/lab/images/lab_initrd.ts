import { createHash } from "node:crypto";
import { join } from "node:path";
import { cpio, type CpioEntry, type GuestKernel, ModuleIndex } from "../../../src/guest/mod.ts";
import { labDir } from "./image.ts";

/** What the lab host loads at boot; everything else is one `modprobe` away. */
const MODULES = [
  "virtio_pci",
  "virtio_blk",
  "virtio_console",
  "overlay",
  "kvm",
  "kvm-amd",
  "virtio_rng",
];

/** The initial RAM disk of the lab host: loads modules, stacks the images into one root, starts the agent. */
export async function labInitrd(
  cacheDir: string,
  kernel: GuestKernel,
  agent: string,
): Promise<string> {
  const index = await ModuleIndex.read(kernel.modulesDir);
  const modules = index.closure(MODULES);
  const key = createHash("sha256").update(JSON.stringify([kernel, modules, agent])).digest("hex");
  const path = join(labDir(cacheDir), `initrd-${key.slice(0, 16)}.cpio`);
  try {
    await Deno.stat(path);
    return path;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const entries: CpioEntry[] = [
    { kind: "file", path: "init", data: await Deno.readFile(agent), mode: 0o755 },
    // The kernel opens it before /dev is mounted.
    { kind: "character", path: "dev/console", major: 5, minor: 1 },
    text("modules/order", modules.join("\n")),
    text("modules/version", `${kernel.version}\n${kernel.modulesDir}`),
  ];
  for (const module of modules) {
    entries.push({
      kind: "file",
      path: `modules/${module}`,
      data: await Deno.readFile(join(kernel.modulesDir, module)),
    });
  }
  await Deno.mkdir(labDir(cacheDir), { recursive: true });
  const temporary = `${path}.${Deno.pid}`;
  await Deno.writeFile(temporary, cpio(entries));
  await Deno.rename(temporary, path);
  return path;
}

function text(path: string, lines: string): CpioEntry {
  return { kind: "file", path, data: new TextEncoder().encode(lines + "\n") };
}
