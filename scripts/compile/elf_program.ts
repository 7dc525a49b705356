import { CompileError } from "./compile_error.ts";
import {
  DynamicEntry,
  DynamicTag,
  ELF_MAGIC,
  ElfClass,
  ElfSymbol,
  Encoding,
  FileHeader,
  FileType,
  MachineType,
  Relocation,
  RelocationType,
  Segment,
  SegmentFlag,
  SegmentType,
} from "./elf_layout.ts";

const PAGE = 4096;
/** Between the program and what is added: a fault in one should not reach the other. */
const GAP = 1 << 20;

type SegmentValue = ReturnType<typeof Segment.decode>;

/** A dynamically linked, position independent program for Linux on x86-64, as a file that can be extended. */
export class ElfProgram {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;

  /**
   * @param bytes the whole file; it is changed in place by {@link extended}
   * @throws {CompileError} when it is another kind of file
   */
  constructor(bytes: Uint8Array<ArrayBuffer>, readonly name: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < FileHeader.size) throw this.#unlike("it is too short");
    const header = this.#header;
    const expected: [boolean, string][] = [
      [header.magic === ELF_MAGIC, "it is no ELF file"],
      [header.class === ElfClass.Bits64, "it is not a 64-bit program"],
      [header.encoding === Encoding.LittleEndian, "it is not little endian"],
      [header.machine === MachineType.X86_64, "it is not for x86-64"],
      [header.type === FileType.Dynamic, "it is not position independent"],
      [header.segmentSize === Segment.size, "its segment headers have another size"],
      [
        header.segmentsOffset + header.segmentCount * Segment.size <= bytes.length,
        "its segment headers lie outside of it",
      ],
    ];
    for (const [isSo, otherwise] of expected) if (!isSo) throw this.#unlike(otherwise);
    this.#only(SegmentType.Interpreter, "a dynamic linker");
    if (this.#loads().length === 0) throw this.#unlike("it has nothing to load");
  }

  /** Where it starts, as linked. */
  get entry(): number {
    return this.#header.entry;
  }

  /** The address that an additional segment would get, as linked. */
  get nextAddress(): number {
    const ends = this.#loads().map(({ address, memorySize }) => address + memorySize);
    return alignUp(Math.max(...ends), PAGE) + GAP;
  }

  /**
   * The address, as linked, of the pointer that the dynamic linker fills with the address of an imported
   * variable.
   *
   * @throws {CompileError} when there is none
   */
  importSlot(symbol: string): number {
    const table = this.#dynamic();
    const relocations = this.#inFile(table(DynamicTag.Relocations));
    const size = table(DynamicTag.RelocationsSize);
    if (table(DynamicTag.RelocationSize) !== Relocation.size || size % Relocation.size !== 0) {
      throw this.#unlike("its relocations have another size");
    }
    const symbols = this.#inFile(table(DynamicTag.SymbolTable));
    const strings = this.#inFile(table(DynamicTag.StringTable));
    for (let at = relocations; at < relocations + size; at += Relocation.size) {
      const { offset, type, symbol: index, addend } = Relocation.get(this.#view, at);
      if (type !== RelocationType.GlobalData && type !== RelocationType.Absolute64) continue;
      const { name } = ElfSymbol.get(this.#view, symbols + index * ElfSymbol.size);
      if (addend === 0 && this.#stringAt(strings + name) === symbol) return offset;
    }
    throw this.#unlike(`it does not import "${symbol}"`);
  }

  /**
   * The program with one more segment, readable and executable, at {@link nextAddress}, and another entry.
   * The header of the segment takes the place of a note's, which nobody misses (the build id).
   *
   * @throws {CompileError} when there is no note
   */
  extended(content: Uint8Array, entry: number): Uint8Array<ArrayBuffer> {
    const address = this.nextAddress;
    const offset = alignUp(this.#bytes.length, PAGE);
    const segments = this.#segments();
    const note = segments.findIndex(({ type }) => type === SegmentType.Note);
    if (note < 0) throw this.#unlike("no segment header is free (there is no note)");
    segments.splice(note, 1);
    // The loader wants segments to load in the order of their addresses.
    const last = segments.findLastIndex(({ type }) => type === SegmentType.Load);
    segments.splice(last + 1, 0, {
      type: SegmentType.Load,
      flags: SegmentFlag.Read | SegmentFlag.Execute,
      offset,
      address,
      physicalAddress: address,
      fileSize: content.length,
      memorySize: content.length,
      alignment: PAGE,
    });
    const header = this.#header;
    segments.forEach((segment, i) =>
      Segment.set(this.#view, header.segmentsOffset + i * Segment.size, segment)
    );
    header.entry = entry;
    const result = new Uint8Array(offset + content.length);
    result.set(this.#bytes);
    result.set(content, offset);
    return result;
  }

  get #header() {
    return FileHeader.at(this.#view);
  }

  #segments(): SegmentValue[] {
    const { segmentsOffset, segmentCount } = this.#header;
    return Array.from(
      { length: segmentCount },
      (_, i) => Segment.decode(this.#bytes.subarray(segmentsOffset + i * Segment.size)),
    );
  }

  #loads(): SegmentValue[] {
    return this.#segments().filter(({ type }) => type === SegmentType.Load);
  }

  #only(type: number, what: string): SegmentValue {
    const found = this.#segments().filter((segment) => segment.type === type);
    if (found.length !== 1) throw this.#unlike(`it has ${found.length || "not"} ${what}`);
    return found[0];
  }

  /** Looks tags of the dynamic section up; one that is missing is an error. */
  #dynamic(): (tag: number) => number {
    const { offset, fileSize } = this.#only(SegmentType.Dynamic, "a dynamic section");
    const values = new Map<number, number>();
    for (let at = offset; at + DynamicEntry.size <= offset + fileSize; at += DynamicEntry.size) {
      const { tag, value } = DynamicEntry.get(this.#view, at);
      values.set(tag, value);
    }
    return (tag) => {
      const value = values.get(tag);
      if (value === undefined) throw this.#unlike(`its dynamic section lacks entry ${tag}`);
      return value;
    };
  }

  /** Where an address, as linked, is in the file. */
  #inFile(address: number): number {
    for (const { address: start, fileSize, offset } of this.#loads()) {
      if (address >= start && address < start + fileSize) return address - start + offset;
    }
    throw this.#unlike(`address 0x${address.toString(16)} is not in it`);
  }

  #stringAt(offset: number): string {
    const end = this.#bytes.indexOf(0, offset);
    return new TextDecoder().decode(this.#bytes.subarray(offset, end));
  }

  #unlike(reason: string): CompileError {
    return new CompileError(`Cannot extend ${this.name}: ${reason}.`);
  }
}

function alignUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
