/** The parts of an ELF file that we read or change: System V ABI (gABI) chapters 4 and 5, and its AMD64 supplement. */

import { bytes, struct, u16, u32, u64, u8 } from "../../src/codec/mod.ts";

/** Elf64_Ehdr. */
export const FileHeader = struct({
  magic: u32,
  class: u8,
  encoding: u8,
  identVersion: u8,
  abi: u8,
  padding: bytes(8),
  type: u16,
  machine: u16,
  version: u32,
  entry: u64,
  segmentsOffset: u64,
  sectionsOffset: u64,
  flags: u32,
  headerSize: u16,
  segmentSize: u16,
  segmentCount: u16,
  sectionSize: u16,
  sectionCount: u16,
  sectionNames: u16,
});

/** Elf64_Phdr. */
export const Segment = struct({
  type: u32,
  flags: u32,
  offset: u64,
  address: u64,
  physicalAddress: u64,
  fileSize: u64,
  memorySize: u64,
  alignment: u64,
});

/** Elf64_Dyn. */
export const DynamicEntry = struct({ tag: u64, value: u64 });

/** Elf64_Rela, `info` as its two halves. */
export const Relocation = struct({ offset: u64, type: u32, symbol: u32, addend: u64 });

/** Elf64_Sym. */
export const ElfSymbol = struct({
  name: u32,
  info: u8,
  other: u8,
  section: u16,
  value: u64,
  size: u64,
});

/** `\x7fELF` as a number. */
export const ELF_MAGIC = 0x464c457f;
export const ElfClass = { /** ELFCLASS64 */ Bits64: 2 } as const;
export const Encoding = { /** ELFDATA2LSB */ LittleEndian: 1 } as const;
export const FileType = { /** ET_DYN: at any address */ Dynamic: 3 } as const;
export const MachineType = { /** EM_X86_64 */ X86_64: 62 } as const;
export const SegmentType = {
  /** PT_LOAD */ Load: 1,
  /** PT_DYNAMIC */ Dynamic: 2,
  /** PT_INTERP */ Interpreter: 3,
  /** PT_NOTE */ Note: 4,
} as const;
export const SegmentFlag = { /** PF_X */ Execute: 1, /** PF_R */ Read: 4 } as const;
export const DynamicTag = {
  /** DT_STRTAB */ StringTable: 5,
  /** DT_SYMTAB */ SymbolTable: 6,
  /** DT_RELA */ Relocations: 7,
  /** DT_RELASZ */ RelocationsSize: 8,
  /** DT_RELAENT */ RelocationSize: 9,
} as const;
export const RelocationType = {
  /** R_X86_64_64: symbol + addend */ Absolute64: 1,
  /** R_X86_64_GLOB_DAT: symbol */ GlobalData: 6,
} as const;
