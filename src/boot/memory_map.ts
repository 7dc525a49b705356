import { struct, u32, u64 } from "../codec/mod.ts";
import type { GuestMemory } from "../memory/mod.ts";

/** A range of guest-physical addresses, in bytes. */
export interface AddressRange {
  readonly base: number;
  readonly size: number;
}

/** Real-mode memory that firmware would keep for itself (extended BIOS data area). */
const EBDA: AddressRange = { base: 0x9_fc00, size: 0x400 };
/** The legacy hole of VGA memory and option ROMs; part of the RAM slot, but not told to the guest. */
const LEGACY_HOLE: AddressRange = { base: 0xa_0000, size: 0x4_0000 };
/** The BIOS area, reserved in the memory map; ACPI tables lie here, where a scan finds the RSDP, too. */
export const ACPI_AREA: AddressRange = { base: 0xe_0000, size: 0x2_0000 };
/** The VM generation ID, 16 bytes alone in the last page of that area. */
export const GENERATION_ID_ADDRESS = 0xf_f000;
/** Where RAM proper begins. */
export const HIGH_RAM = 0x10_0000;
/** PCI Express configuration space (ECAM) of bus 0. */
export const ECAM: AddressRange = { base: 0xe000_0000, size: 0x10_0000 };
export const IOAPIC_ADDRESS = 0xfec0_0000;
export const LOCAL_APIC_ADDRESS = 0xfee0_0000;
/** KVM's own pages on Intel hosts: identity map, then three pages of real-mode TSS. */
export const IDENTITY_MAP_ADDRESS = 0xfffb_c000;
export const TSS_ADDRESS = 0xfffb_d000;
const KVM_PAGES: AddressRange = { base: IDENTITY_MAP_ADDRESS, size: 0x4000 };

/** Address range types of e820 and of PVH's memory map. */
export const MemoryKind = { Ram: 1, Reserved: 2 } as const;

/** One line of the memory map that the guest is given. */
export interface MemoryMapEntry {
  base: number;
  size: number;
  kind: number;
}

/** struct boot_e820_entry (Linux boot protocol, zero page at 0x2d0). */
export const E820Entry = struct({ base: u64, size: u64, kind: u32 });

/** The memory map of a machine: its RAM without the holes of the PC, and what must not be touched. */
export function memoryMap(memory: Pick<GuestMemory, "regions">): MemoryMapEntry[] {
  const map: MemoryMapEntry[] = [];
  const add = ({ base, size }: AddressRange, kind: number) => {
    if (size > 0) map.push({ base, size, kind });
  };
  const regions = [...memory.regions].sort((a, b) => a.guestAddress - b.guestAddress);
  for (const region of regions) {
    const end = region.guestAddress + region.size;
    if (region.guestAddress === 0) {
      add({ base: 0, size: Math.min(EBDA.base, end) }, MemoryKind.Ram);
      if (end > EBDA.base) add(EBDA, MemoryKind.Reserved);
      if (end > LEGACY_HOLE.base) add(ACPI_AREA, MemoryKind.Reserved);
      add({ base: HIGH_RAM, size: end - HIGH_RAM }, MemoryKind.Ram);
    } else {
      add({ base: region.guestAddress, size: region.size }, MemoryKind.Ram);
    }
  }
  add(ECAM, MemoryKind.Reserved);
  add(KVM_PAGES, MemoryKind.Reserved);
  return map.sort((a, b) => a.base - b.base);
}
