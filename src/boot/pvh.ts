import { struct, u32, u64 } from "../codec/mod.ts";

/** struct hvm_start_info version 1, Xen public/arch-x86/hvm/start_info.h. */
export const StartInfo = struct({
  magic: u32,
  version: u32,
  flags: u32,
  moduleCount: u32,
  moduleList: u64,
  cmdline: u64,
  rsdp: u64,
  memoryMap: u64,
  memoryMapEntries: u32,
  reserved: u32,
});
/** XEN_HVM_START_MAGIC_VALUE. */
export const START_INFO_MAGIC = 0x336e_c578;
export const START_INFO_VERSION = 1;

/** struct hvm_modlist_entry. */
export const ModuleEntry = struct({ address: u64, size: u64, cmdline: u64, reserved: u64 });

/** struct hvm_memmap_table_entry; types are those of e820. */
export const PvhMemoryMapEntry = struct({ base: u64, size: u64, kind: u32, reserved: u32 });

/** The note that carries the 32-bit physical entry point. */
export const XEN_NOTE_OWNER = "Xen";
/** XEN_ELFNOTE_PHYS32_ENTRY. */
export const PHYS32_ENTRY_NOTE = 18;
/** Linux x86 COMMAND_LINE_SIZE without the NUL; PVH itself names no limit. */
export const PVH_CMDLINE_LIMIT = 2047;
