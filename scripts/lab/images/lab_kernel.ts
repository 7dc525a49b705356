import { extractVmlinux, type GuestKernel } from "../../../src/guest/mod.ts";
import { bytesKey, keepFile } from "./kept.ts";

/** The kernel for QEMU: unpacked where we can, since the emulation takes two seconds to decompress it at each boot. */
export async function labKernel(cacheDir: string, kernel: GuestKernel): Promise<string> {
  const key = bytesKey(JSON.stringify(kernel));
  return await keepFile(cacheDir, "vmlinux", "elf", key, async () => {
    const image = await Deno.readFile(kernel.vmlinuz);
    return extractVmlinux(image) ?? image;
  });
}
