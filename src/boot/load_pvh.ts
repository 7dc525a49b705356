import { type GuestMemory, PCI_HOLE_START } from "../memory/mod.ts";
import type { BootFile } from "./boot_file.ts";
import { writeCommandLine } from "./command_line.ts";
import {
  ElfClass,
  ElfHeader,
  elfNotes,
  LITTLE_ENDIAN,
  Machine,
  ProgramHeader,
  SegmentType,
} from "./elf.ts";
import type { PvhEntry } from "./entry.ts";
import { type Initrd, loadInitrd } from "./initrd.ts";
import { KernelError } from "./kernel_error.ts";
import { MODULE_LIST_ADDRESS, PVH_MEMORY_MAP_ADDRESS, START_INFO_ADDRESS } from "./layout.ts";
import type { KernelOptions } from "./load_kernel.ts";
import { lowRam, mebibytes } from "./low_ram.ts";
import { HIGH_RAM, memoryMap } from "./memory_map.ts";
import {
  ModuleEntry,
  PHYS32_ENTRY_NOTE,
  PVH_CMDLINE_LIMIT,
  PvhMemoryMapEntry,
  START_INFO_MAGIC,
  START_INFO_VERSION,
  StartInfo,
  XEN_NOTE_OWNER,
} from "./pvh.ts";

type Segment = ReturnType<typeof ProgramHeader.decode>;
const MAX_SEGMENTS = 128;
const MAX_NOTES_SIZE = 2 ** 16;

/** Loads an ELF kernel (vmlinux) for entry by PVH. Throws KernelError. */
export function loadPvh(memory: GuestMemory, kernel: BootFile, options: KernelOptions): PvhEntry {
  const segments = programHeaders(kernel);
  const loads = segments.filter((s) => s.type === SegmentType.Load && s.memorySize > 0);
  const instruction = entryPoint(kernel, segments);
  const end = checkPlaces(memory, kernel, loads);
  if (!loads.some((s) => contains(s, instruction))) {
    throw new KernelError("malformed", kernel.name, "its PVH entry lies outside its segments");
  }

  for (const { offset, fileSize, physicalAddress, memorySize } of loads) {
    kernel.copy(offset, fileSize, memory, physicalAddress);
    const cleared = memorySize - fileSize;
    if (cleared > 0) memory.bytes(physicalAddress + fileSize, cleared).fill(0);
  }
  const initrd = options.initrd && loadInitrd(memory, options.initrd, end, PCI_HOLE_START);
  const cmdline = writeCommandLine(memory, options.cmdline, PVH_CMDLINE_LIMIT, kernel.name);
  writeStartInfo(memory, { cmdline, initrd, rsdp: options.rsdp });
  return { kind: "pvh", instruction, startInfo: START_INFO_ADDRESS };
}

function programHeaders(kernel: BootFile): Segment[] {
  const fail = (reason: "32-bit" | "not-a-kernel" | "malformed", detail: string): never => {
    throw new KernelError(reason, kernel.name, detail);
  };
  const header = ElfHeader.decode(kernel.read(0, ElfHeader.size));
  if (header.encoding !== LITTLE_ENDIAN) fail("not-a-kernel", "it is a big-endian ELF file");
  if (header.machine === Machine.I386 || header.class === ElfClass.Elf32) {
    fail("32-bit", "it is a 32-bit ELF file. Take a kernel built for x86-64 (amd64).");
  }
  if (header.machine !== Machine.X86_64) {
    fail("not-a-kernel", `it is an ELF file for another processor (machine ${header.machine})`);
  }
  if (
    header.programEntrySize !== ProgramHeader.size || header.programCount === 0 ||
    header.programCount > MAX_SEGMENTS
  ) {
    fail("not-a-kernel", "it is an ELF file without program headers (an object file or module?)");
  }
  const size = ProgramHeader.size;
  const table = kernel.read(header.programOffset, header.programCount * size);
  return Array.from(
    { length: header.programCount },
    (_, i) => ProgramHeader.decode(table.subarray(i * size)),
  );
}

/** The physical entry point that the Xen note names. */
function entryPoint(kernel: BootFile, segments: Segment[]): number {
  for (const segment of segments) {
    if (segment.type !== SegmentType.Note || segment.fileSize > MAX_NOTES_SIZE) continue;
    const notes = kernel.read(segment.offset, segment.fileSize);
    for (const note of elfNotes(notes, segment.alignment)) {
      if (note.owner !== XEN_NOTE_OWNER || note.type !== PHYS32_ENTRY_NOTE) continue;
      const { buffer, byteOffset, byteLength } = note.description;
      if (byteLength >= 4) return new DataView(buffer, byteOffset, 4).getUint32(0, true);
    }
  }
  throw new KernelError(
    "no-pvh",
    kernel.name,
    "it is an ELF file without a PVH entry note. Build the kernel with CONFIG_PVH, or use its bzImage.",
  );
}

/** Refuses segments outside RAM proper; gives the end of the highest. */
function checkPlaces(memory: GuestMemory, kernel: BootFile, loads: Segment[]): number {
  const ramEnd = lowRam(memory);
  let end = 0;
  for (const { physicalAddress, fileSize, memorySize, offset } of loads) {
    if (fileSize > memorySize) {
      throw new KernelError(
        "malformed",
        kernel.name,
        "a segment is larger in the file than in memory",
      );
    }
    kernel.requireSize(offset + fileSize);
    if (physicalAddress < HIGH_RAM) {
      throw new KernelError(
        "malformed",
        kernel.name,
        `a segment wants to lie at ${physicalAddress}, below 1 MiB`,
      );
    }
    end = Math.max(end, physicalAddress + memorySize);
  }
  if (end > ramEnd) {
    throw new KernelError(
      "does-not-fit",
      kernel.name,
      `it needs ${mebibytes(end)} MiB to start, the machine has ${mebibytes(ramEnd)} MiB ` +
        `below 4 GiB. Give the machine more memory.`,
    );
  }
  return end;
}

function contains(segment: Segment, address: number): boolean {
  return address >= segment.physicalAddress &&
    address < segment.physicalAddress + segment.fileSize;
}

function writeStartInfo(
  memory: GuestMemory,
  { cmdline, initrd, rsdp }: { cmdline: number; initrd?: Initrd; rsdp?: number },
): void {
  if (initrd) memory.write(MODULE_LIST_ADDRESS, ModuleEntry.encode(initrd));
  const map = memoryMap(memory);
  map.forEach((entry, i) =>
    memory.write(
      PVH_MEMORY_MAP_ADDRESS + i * PvhMemoryMapEntry.size,
      PvhMemoryMapEntry.encode(entry),
    )
  );
  memory.write(
    START_INFO_ADDRESS,
    StartInfo.encode({
      magic: START_INFO_MAGIC,
      version: START_INFO_VERSION,
      moduleCount: initrd ? 1 : 0,
      moduleList: initrd ? MODULE_LIST_ADDRESS : 0,
      cmdline,
      rsdp: rsdp ?? 0,
      memoryMap: PVH_MEMORY_MAP_ADDRESS,
      memoryMapEntries: map.length,
    }),
  );
}
