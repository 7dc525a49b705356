import { join } from "node:path";
import { extractVmlinux, type GuestKernel } from "../../../src/guest/mod.ts";
import { labDir } from "./image.ts";

/** The kernel for QEMU: unpacked where we can, since decompressing takes the emulation two seconds at each boot. */
export async function labKernel(cacheDir: string, kernel: GuestKernel): Promise<string> {
  const path = join(labDir(cacheDir), `vmlinux-${kernel.version}-${kernel.packageVersion}`);
  try {
    await Deno.stat(path);
    return path;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const vmlinux = extractVmlinux(await Deno.readFile(kernel.vmlinuz));
  if (vmlinux === undefined) return kernel.vmlinuz;
  await Deno.mkdir(labDir(cacheDir), { recursive: true });
  const temporary = `${path}.${Deno.pid}`;
  await Deno.writeFile(temporary, vmlinux);
  await Deno.rename(temporary, path);
  return path;
}
