/** What a kernel module says of itself in its `.modinfo` section. */
export interface ModuleInfo {
  /** Names of the modules whose symbols it uses. */
  readonly depends: readonly string[];
  /** Names of modules (or aliases) to load before it where they exist. */
  readonly softPre: readonly string[];
  /** Patterns by which the kernel asks for it. */
  readonly aliases: readonly string[];
}

/** A file is not the ELF object that a kernel module is. */
export class ModuleFormatError extends Error {
  constructor(readonly path: string, readonly reason: string) {
    super(`${path} is not a kernel module: ${reason}`);
    this.name = "ModuleFormatError";
  }
}

// ELF-64 layout (System V ABI, chapter 4): offsets in the file header and in a section header.
const ELF_MAGIC = 0x7f454c46;
const FILE_HEADER = {
  size: 64,
  sectionOffset: 0x28,
  sectionEntrySize: 0x3a,
  sectionCount: 0x3c,
  namesIndex: 0x3e,
};
const SECTION_HEADER = { name: 0x00, offset: 0x18, size: 0x20, length: 64 };

/**
 * Reads a module's `.modinfo`: NUL-separated `key=value` texts.
 *
 * @param path named in errors
 * @throws {ModuleFormatError}
 */
export function readModuleInfo(bytes: Uint8Array, path: string): ModuleInfo {
  const text = new TextDecoder().decode(section(bytes, ".modinfo", path));
  const values = (key: string) =>
    text.split("\0").filter((entry) => entry.startsWith(`${key}=`)).map((entry) =>
      entry.slice(key.length + 1)
    );
  return {
    depends: values("depends").flatMap((list) => list.split(",")).filter((name) => name !== ""),
    softPre: values("softdep").flatMap(softPre),
    aliases: values("alias"),
  };
}

/** `pre: a b post: c` → `a b`. */
function softPre(text: string): string[] {
  const words = text.split(/\s+/);
  const names: string[] = [];
  let before = false;
  for (const word of words) {
    if (word === "pre:") before = true;
    else if (word === "post:") before = false;
    else if (before && word !== "") names.push(word);
  }
  return names;
}

function section(bytes: Uint8Array, wanted: string, path: string): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < FILE_HEADER.size || view.getUint32(0) !== ELF_MAGIC) {
    throw new ModuleFormatError(path, "no ELF header");
  }
  const table = Number(view.getBigUint64(FILE_HEADER.sectionOffset, true));
  const entrySize = view.getUint16(FILE_HEADER.sectionEntrySize, true);
  const count = view.getUint16(FILE_HEADER.sectionCount, true);
  const namesIndex = view.getUint16(FILE_HEADER.namesIndex, true);
  if (
    entrySize < SECTION_HEADER.length || table + count * entrySize > bytes.length ||
    namesIndex >= count
  ) {
    throw new ModuleFormatError(path, "section table outside the file");
  }
  const content = (index: number) => {
    const header = table + index * entrySize;
    const offset = Number(view.getBigUint64(header + SECTION_HEADER.offset, true));
    const size = Number(view.getBigUint64(header + SECTION_HEADER.size, true));
    if (offset + size > bytes.length) throw new ModuleFormatError(path, "section outside the file");
    return bytes.subarray(offset, offset + size);
  };
  const names = content(namesIndex);
  for (let index = 0; index < count; index++) {
    const start = view.getUint32(table + index * entrySize + SECTION_HEADER.name, true);
    const end = names.indexOf(0, start);
    if (new TextDecoder().decode(names.subarray(start, end)) === wanted) return content(index);
  }
  throw new ModuleFormatError(path, `no section ${wanted}`);
}
