import type { GuestMemory } from "../memory/mod.ts";
import type { BootFile } from "./boot_file.ts";
import { KernelError } from "./kernel_error.ts";
import { lowRam, mebibytes } from "./low_ram.ts";

const PAGE = 4096;

/** A loaded initrd. */
export interface Initrd {
  address: number;
  size: number;
}

/**
 * Puts the initrd as high as RAM below the PCI hole and `limit` (first address not allowed) let it,
 * above the kernel. Throws KernelError when there is no room.
 */
export function loadInitrd(
  memory: GuestMemory,
  file: BootFile,
  kernelEnd: number,
  limit: number,
): Initrd {
  const end = Math.min(lowRam(memory), limit);
  const address = Math.floor((end - file.size) / PAGE) * PAGE;
  if (address < kernelEnd) {
    throw new KernelError(
      "initrd-does-not-fit",
      file.name,
      `the initrd of ${mebibytes(file.size)} MiB does not fit in the memory of ` +
        `${mebibytes(lowRam(memory))} MiB beside the kernel, which takes it up to ` +
        `${mebibytes(kernelEnd)} MiB. Give the machine more memory.`,
    );
  }
  file.copy(0, file.size, memory, address);
  return { address, size: file.size };
}
