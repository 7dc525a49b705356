import { ByteReader } from "./byte_reader.ts";

// POSIX.1-2001, "pax": headers of 512 bytes, and before those extended headers with what has no room in them.
const RECORD = 512;
/** Of an extended header. */
const MOST_EXTENDED = 2 ** 20;
const XATTR = "SCHILY.xattr.";

/** What an archive says of a file. */
export interface TarHeader {
  /** Without `./` before and `/` behind; the root's is empty. */
  readonly path: string;
  /** Permissions, with the bits above them. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

/** A file of an archive. */
export type TarEntry =
  & TarHeader
  & (
    | { readonly kind: "directory" | "fifo" }
    /** Data are there until the next entry is asked for. */
    | { readonly kind: "file"; readonly size: number; readonly data: AsyncIterable<Uint8Array> }
    | { readonly kind: "link" | "hardlink"; readonly target: string }
    | { readonly kind: "character" | "block"; readonly major: number; readonly minor: number }
  );

/** An archive is none, or has something that we do not know. */
export class TarError extends Error {
  override readonly name = "TarError";
}

const KINDS: Readonly<Record<string, TarEntry["kind"]>> = {
  "0": "file",
  "\0": "file",
  "1": "hardlink",
  "2": "link",
  "3": "character",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

/**
 * Reads an archive as it comes.
 *
 * @throws {TarError} when it is broken off, damaged, or has what is no file of a root file system
 */
export async function* readTar(stream: ReadableStream<Uint8Array>): AsyncGenerator<TarEntry> {
  const reader = new ByteReader(stream);
  let extended: ReadonlyMap<string, Uint8Array> = new Map();
  for (;;) {
    const record = await reader.exactly(RECORD);
    if (record.every((byte) => byte === 0)) return await reader.drain();
    requireChecksum(record);
    const type = String.fromCharCode(record[156]);
    const size = number(record, 124, 12);
    if (type === "x" || type === "g") {
      if (size > MOST_EXTENDED) throw new TarError(`an extended header has ${size} bytes`);
      const records = parseExtended(await reader.exactly(size));
      await reader.skip(padding(size));
      // A global header's are comments of tar for itself.
      if (type === "x") extended = records;
      continue;
    }
    const kind = KINDS[type];
    if (kind === undefined) throw new TarError(`there is an entry of type "${type}"`);
    yield* entry(reader, kind, record, extended);
    extended = new Map();
  }
}

async function* entry(
  reader: ByteReader,
  kind: TarEntry["kind"],
  record: Uint8Array,
  extended: ReadonlyMap<string, Uint8Array>,
): AsyncGenerator<TarEntry> {
  const long = (key: string) => {
    const value = extended.get(key);
    return value === undefined ? undefined : text(value);
  };
  const value = (key: string, at: number, length: number) => {
    const written = long(key);
    return written === undefined ? number(record, at, length) : Math.floor(Number(written));
  };
  const prefix = field(record, 345, 155);
  const short = `${prefix === "" ? "" : `${prefix}/`}${field(record, 0, 100)}`;
  const header: TarHeader = {
    path: plain(long("path") ?? short),
    mode: number(record, 100, 8) & 0o7777,
    uid: value("uid", 108, 8),
    gid: value("gid", 116, 8),
    mtime: value("mtime", 136, 12),
    xattrs: new Map(
      [...extended].filter(([key]) => key.startsWith(XATTR))
        .map(([key, value]) => [key.slice(XATTR.length), value]),
    ),
  };
  switch (kind) {
    case "file": {
      const size = value("size", 124, 12);
      const left = { bytes: size };
      yield { ...header, kind, size, data: reader.some(left) };
      await reader.skip(left.bytes + padding(size));
      return;
    }
    case "link":
      return yield { ...header, kind, target: long("linkpath") ?? field(record, 157, 100) };
    case "hardlink":
      return yield { ...header, kind, target: plain(long("linkpath") ?? field(record, 157, 100)) };
    case "character":
    case "block":
      return yield {
        ...header,
        kind,
        major: number(record, 329, 8),
        minor: number(record, 337, 8),
      };
    default:
      return yield { ...header, kind };
  }
}

/** Lines of `LENGTH KEY=VALUE`; a value may hold any bytes. */
function parseExtended(data: Uint8Array): Map<string, Uint8Array> {
  const records = new Map<string, Uint8Array>();
  for (let at = 0; at < data.length;) {
    const space = data.indexOf(0x20, at);
    const length = Number(text(data.subarray(at, Math.max(at, space))));
    const equals = data.indexOf(0x3d, space);
    const end = at + length;
    if (space < 0 || equals < 0 || !(length > 0) || end > data.length || equals >= end) {
      throw new TarError("an extended header is damaged");
    }
    records.set(text(data.subarray(space + 1, equals)), data.slice(equals + 1, end - 1));
    at = end;
  }
  return records;
}

function requireChecksum(record: Uint8Array): void {
  const FIELD = 148, LENGTH = 8;
  const sum = record.reduce(
    (sum, byte, i) => sum + (i >= FIELD && i < FIELD + LENGTH ? 0x20 : byte),
    0,
  );
  if (sum !== number(record, FIELD, LENGTH)) throw new TarError("a header has a wrong checksum");
}

/** Octal digits, or, where those do not suffice, a number in binary behind a byte of 0x80. */
function number(record: Uint8Array, at: number, length: number): number {
  const bytes = record.subarray(at, at + length);
  if (bytes[0] === 0x80) return bytes.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
  const digits = field(record, at, length).trim();
  if (!/^[0-7]*$/.test(digits)) throw new TarError(`"${digits}" is no octal number`);
  return digits === "" ? 0 : parseInt(digits, 8);
}

function field(record: Uint8Array, at: number, length: number): string {
  const bytes = record.subarray(at, at + length);
  const end = bytes.indexOf(0);
  return text(end < 0 ? bytes : bytes.subarray(0, end));
}

function text(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new TarError("a name is not UTF-8");
  }
}

function plain(path: string): string {
  return path.replace(/^(\.\/)+/, "").replace(/\/+$/, "").replace(/^\.$/, "");
}

function padding(size: number): number {
  return (RECORD - size % RECORD) % RECORD;
}
