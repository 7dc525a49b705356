import { bytes, struct, u16, u32, u64, u8 } from "../codec/mod.ts";

/** Elf64_Ehdr, System V ABI (gABI), chapter 4. */
export const ElfHeader = struct({
  magic: bytes(4),
  class: u8,
  encoding: u8,
  identVersion: u8,
  abi: u8,
  padding: bytes(8),
  type: u16,
  machine: u16,
  version: u32,
  entry: u64,
  programOffset: u64,
  sectionOffset: u64,
  flags: u32,
  headerSize: u16,
  programEntrySize: u16,
  programCount: u16,
  sectionEntrySize: u16,
  sectionCount: u16,
  sectionNames: u16,
});

/** Elf64_Phdr, gABI chapter 5. */
export const ProgramHeader = struct({
  type: u32,
  flags: u32,
  offset: u64,
  virtualAddress: u64,
  physicalAddress: u64,
  fileSize: u64,
  memorySize: u64,
  alignment: u64,
});

/** e_ident[EI_CLASS]. */
export const ElfClass = { Elf32: 1, Elf64: 2 } as const;
/** e_ident[EI_DATA]. */
export const LITTLE_ENDIAN = 1;
/** e_machine. */
export const Machine = { /** EM_386 */ I386: 3, /** EM_X86_64 */ X86_64: 62 } as const;
/** p_type. */
export const SegmentType = { /** PT_LOAD */ Load: 1, /** PT_NOTE */ Note: 4 } as const;

/** Whether the start of a file is an ELF header. */
export function isElf(start: Uint8Array): boolean {
  return start[0] === 0x7f && start[1] === 0x45 && start[2] === 0x4c && start[3] === 0x46;
}

/** One note of a PT_NOTE segment; `description` is a view of the segment's bytes. */
export interface ElfNote {
  owner: string;
  type: number;
  description: Uint8Array;
}

/** The notes of a segment; ends quietly at the first that does not fit. */
export function* elfNotes(segment: Uint8Array, alignment: number): Generator<ElfNote> {
  const step = alignment === 8 ? 8 : 4;
  const align = (n: number) => Math.ceil(n / step) * step;
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength);
  for (let at = 0; at + 12 <= segment.length;) {
    const ownerSize = view.getUint32(at, true);
    const descriptionSize = view.getUint32(at + 4, true);
    const description = at + align(12 + ownerSize);
    const end = description + descriptionSize;
    if (end > segment.length) return;
    yield {
      owner: String.fromCharCode(
        ...segment.subarray(at + 12, at + 12 + Math.min(Math.max(ownerSize - 1, 0), 64)),
      ),
      type: view.getUint32(at + 8, true),
      description: segment.subarray(description, end),
    };
    at = at + align(end - at);
  }
}
