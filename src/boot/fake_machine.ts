/** For tests: guest memory in a plain buffer with guards around it, and kernels made of a few bytes. */
import { GuestMemory } from "../memory/mod.ts";
import {
  BOOT_FLAG,
  ExtendedLoadFlag,
  HEADER_MAGIC,
  LoadFlag,
  SECTOR,
  SETUP_HEADER_OFFSET,
  SetupHeader,
} from "./bzimage.ts";
import { ElfClass, ElfHeader, LITTLE_ENDIAN, Machine, ProgramHeader, SegmentType } from "./elf.ts";

export const MIB = 2 ** 20;
const GUARD = 4096;
const GUARD_BYTE = 0xa5;

/** Guest memory of one region at address 0. */
export class FakeMachine {
  readonly #buffer: ArrayBuffer;
  readonly memory: GuestMemory;

  constructor(readonly size: number) {
    this.#buffer = new ArrayBuffer(size + 2 * GUARD);
    for (const guard of this.#guards()) guard.fill(GUARD_BYTE);
    const window = { buffer: this.#buffer, view: new DataView(this.#buffer) };
    this.memory = new GuestMemory(window, [
      { guestAddress: 0, size, windowOffset: GUARD },
    ]);
  }

  #guards(): Uint8Array[] {
    return [
      new Uint8Array(this.#buffer, 0, GUARD),
      new Uint8Array(this.#buffer, GUARD + this.size, GUARD),
    ];
  }

  /** Whether nothing was written outside of guest memory. */
  get intact(): boolean {
    return this.#guards().every((guard) => guard.every((byte) => byte === GUARD_BYTE));
  }
}

/** The bytes of a field or more of the setup header. */
export type HeaderFields = Parameters<typeof SetupHeader.encode>[0];

/** A bzImage of two setup sectors and `payload`, which a kernel of Linux 6.1 would accept as its like. */
export function fakeBzImage(
  fields: HeaderFields = {},
  payload = new Uint8Array(MIB).fill(0x90),
): Uint8Array {
  const setup = 3 * SECTOR;
  const file = new Uint8Array(setup + payload.length);
  file.set(
    SetupHeader.encode({
      setupSectors: 2,
      sysSize: payload.length / 16,
      bootFlag: BOOT_FLAG,
      jump: 0xeb,
      jumpOffset: 0x6a,
      magic: HEADER_MAGIC,
      version: 0x20f,
      loadFlags: LoadFlag.LoadedHigh,
      initrdAddressMax: 0x7fff_ffff,
      kernelAlignment: 2 * MIB,
      relocatable: 1,
      extendedLoadFlags: ExtendedLoadFlag.Kernel64,
      cmdlineSize: 2047,
      preferredAddress: 16 * MIB,
      initSize: 4 * MIB,
      ...fields,
    }),
    SETUP_HEADER_OFFSET,
  );
  file.set(payload, setup);
  return file;
}

/** What fakeElf makes. */
export interface FakeElf {
  header?: Parameters<typeof ElfHeader.encode>[0];
  load?: Parameters<typeof ProgramHeader.encode>[0];
  /** Physical entry in the Xen note; undefined leaves the note out. */
  entry?: number;
}

/** An ELF kernel with one loaded segment of 64 KiB (and as much zeroed) at 2 MiB, and notes. */
export function fakeElf({ header, load, entry }: FakeElf): Uint8Array {
  const code = new Uint8Array(0x1_0000).fill(0x90);
  const notes = new Uint8Array(64);
  // A note of someone else comes first, with a name and a description that need padding.
  notes.set([3, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0x47, 0x4f, 0, 0, 1, 2, 0, 0]);
  if (entry !== undefined) {
    notes.set([4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, 0x58, 0x65, 0x6e, 0], 20);
    new DataView(notes.buffer).setUint32(36, entry, true);
  }
  const tableAt = ElfHeader.size;
  const notesAt = tableAt + 2 * ProgramHeader.size;
  const codeAt = notesAt + notes.length;
  const file = new Uint8Array(codeAt + code.length);
  file.set(ElfHeader.encode({
    magic: new Uint8Array([0x7f, 0x45, 0x4c, 0x46]),
    class: ElfClass.Elf64,
    encoding: LITTLE_ENDIAN,
    type: 2,
    machine: Machine.X86_64,
    programOffset: tableAt,
    programEntrySize: ProgramHeader.size,
    programCount: 2,
    ...header,
  }));
  file.set(
    ProgramHeader.encode({
      type: SegmentType.Load,
      offset: codeAt,
      physicalAddress: 2 * MIB,
      fileSize: code.length,
      memorySize: 2 * code.length,
      ...load,
    }),
    tableAt,
  );
  file.set(
    ProgramHeader.encode({
      type: SegmentType.Note,
      offset: notesAt,
      fileSize: entry === undefined ? 20 : 40,
      memorySize: 0,
      alignment: 4,
    }),
    tableAt + ProgramHeader.size,
  );
  file.set(notes, notesAt);
  file.set(code, codeAt);
  return file;
}
