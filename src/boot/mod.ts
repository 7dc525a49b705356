/** Loads kernels into guest memory and writes what a kernel is told at boot: memory map, command line, ACPI. */

export { type AcpiOptions, writeAcpi } from "./acpi/write_acpi.ts";
export * from "./acpi/ports.ts";
export { applyEntry } from "./apply_entry.ts";
export { bootBytes, bootFd, type BootFile, type BootFileRole, openBootFile } from "./boot_file.ts";
export type { Entry, Linux64Entry, PvhEntry } from "./entry.ts";
export { KernelError, type KernelErrorReason } from "./kernel_error.ts";
export { type KernelOptions, loadKernel } from "./load_kernel.ts";
export {
  type AddressRange,
  ECAM,
  GENERATION_ID_ADDRESS,
  IDENTITY_MAP_ADDRESS,
  IOAPIC_ADDRESS,
  LOCAL_APIC_ADDRESS,
  MemoryKind,
  memoryMap,
  type MemoryMapEntry,
  TSS_ADDRESS,
} from "./memory_map.ts";
export { type PciWindows, pciWindows } from "./pci_windows.ts";
