import type { GuestMemory } from "../memory/mod.ts";
import type { BootFile } from "./boot_file.ts";
import { isElf } from "./elf.ts";
import type { Entry } from "./entry.ts";
import { KernelError } from "./kernel_error.ts";
import { isBzImage, loadBzImage } from "./load_bzimage.ts";
import { loadPvh } from "./load_pvh.ts";
import { LOOK_LENGTH, looksLike } from "./looks_like.ts";
import { lowRam } from "./low_ram.ts";
import { HIGH_RAM } from "./memory_map.ts";

/** What the kernel is given. */
export interface KernelOptions {
  /** Command line, without a NUL. */
  readonly cmdline: string;
  readonly initrd?: BootFile;
  /** Guest address of the ACPI RSDP, from writeAcpi. */
  readonly rsdp?: number;
}

/**
 * Loads a kernel: a bzImage for Linux's 64-bit entry, or an ELF file (vmlinux) for PVH. Memory beyond the
 * kernel is taken to be zero. Throws KernelError, and then guest memory may be half filled.
 */
export function loadKernel(memory: GuestMemory, kernel: BootFile, options: KernelOptions): Entry {
  if (lowRam(memory) <= HIGH_RAM) {
    throw new KernelError("does-not-fit", kernel.name, "a machine needs more than 1 MiB of memory");
  }
  const start = kernel.read(0, Math.min(kernel.size, LOOK_LENGTH));
  if (isElf(start)) return loadPvh(memory, kernel, options);
  if (isBzImage(start)) return loadBzImage(memory, kernel, options);
  throw new KernelError("not-a-kernel", kernel.name, `it is no kernel but ${looksLike(start)}`);
}
