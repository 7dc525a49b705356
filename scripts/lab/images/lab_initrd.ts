import { join } from "node:path";
import { cpio, type CpioEntry, type GuestKernel, ModuleIndex } from "../../../src/guest/mod.ts";
import { bytesKey, keepFile } from "./kept.ts";

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
  const key = bytesKey(JSON.stringify([kernel, modules, agent]));
  return await keepFile(cacheDir, "initrd", "cpio", key, () => archive(kernel, modules, agent));
}

async function archive(
  kernel: GuestKernel,
  modules: readonly string[],
  agent: string,
): Promise<Uint8Array> {
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
  return cpio(entries);
}

function text(path: string, lines: string): CpioEntry {
  return { kind: "file", path, data: new TextEncoder().encode(lines + "\n") };
}
