/**
 * A small assembler for AML, the bytecode of ACPI (ACPI 6.4, chapter 20). Every function gives the
 * bytes of one term, so that a table reads like the ASL it stands for.
 */

/** The bytes of one AML term. */
export type Aml = Uint8Array<ArrayBuffer>;

/** Opcodes and prefixes, ACPI 6.4 table 20.3. */
const Op = {
  Zero: 0x00,
  One: 0x01,
  Name: 0x08,
  BytePrefix: 0x0a,
  WordPrefix: 0x0b,
  DWordPrefix: 0x0c,
  StringPrefix: 0x0d,
  QWordPrefix: 0x0e,
  Scope: 0x10,
  Buffer: 0x11,
  Package: 0x12,
  Method: 0x14,
  DualNamePrefix: 0x2e,
  MultiNamePrefix: 0x2f,
  ExtPrefix: 0x5b,
  RootChar: 0x5c,
  Device: 0x82,
  Notify: 0x86,
  Return: 0xa4,
} as const;

/** Bytes and terms in a row. */
export function join(...parts: (Uint8Array | number)[]): Aml {
  const length = parts.reduce<number>((sum, p) => sum + (typeof p === "number" ? 1 : p.length), 0);
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    if (typeof part === "number") out[at++] = part;
    else {
      out.set(part, at);
      at += part.length;
    }
  }
  return out;
}

/** `size` little-endian bytes of an integer. */
export function little(value: number, size: number): Aml {
  const out = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    out[i] = value % 256;
    value = Math.floor(value / 256);
  }
  return out;
}

/** A body behind its PkgLength, which counts itself (§20.2.4). */
function withLength(body: Uint8Array): Aml {
  const short = body.length + 1;
  if (short < 0x40) return join(short, body);
  for (let extra = 1; extra <= 3; extra++) {
    const total = body.length + 1 + extra;
    if (total < 2 ** (4 + 8 * extra)) {
      return join(extra << 6 | total & 0xf, little(Math.floor(total / 16), extra), body);
    }
  }
  throw new RangeError("an AML package does not fit in 256 MiB");
}

/** A name: segments of up to four characters, a leading `\` for the root (§20.2.2). */
export function path(text: string): Aml {
  const absolute = text.startsWith("\\");
  const segments = text.slice(absolute ? 1 : 0).split(".").filter((s) => s !== "");
  for (const segment of segments) {
    if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment)) throw new RangeError(`not an AML name: ${text}`);
  }
  const prefix = segments.length < 2
    ? []
    : segments.length === 2
    ? [Op.DualNamePrefix]
    : [Op.MultiNamePrefix, segments.length];
  const names = new TextEncoder().encode(segments.map((s) => s.padEnd(4, "_")).join(""));
  return join(...(absolute ? [Op.RootChar] : []), ...prefix, ...(names.length ? [names] : [0]));
}

/** An integer in its shortest form. */
export function integer(value: number): Aml {
  if (value === 0) return join(Op.Zero);
  if (value === 1) return join(Op.One);
  if (value < 2 ** 8) return join(Op.BytePrefix, little(value, 1));
  if (value < 2 ** 16) return join(Op.WordPrefix, little(value, 2));
  if (value < 2 ** 32) return join(Op.DWordPrefix, little(value, 4));
  return join(Op.QWordPrefix, little(value, 8));
}

/** A NUL-terminated ASCII string. */
export function text(value: string): Aml {
  return join(Op.StringPrefix, new TextEncoder().encode(value), 0);
}

/** A plug-and-play id such as PNP0A08, compressed to 32 bits as EISAID() does (§19.3.4). */
export function eisaId(id: string): Aml {
  const match = /^([A-Z]{3})([0-9A-F]{4})$/.exec(id);
  if (!match) throw new RangeError(`not an EISA id: ${id}`);
  const [a, b, c] = [...match[1]].map((letter) => letter.charCodeAt(0) - 0x40);
  const product = parseInt(match[2], 16);
  const vendor = a << 10 | b << 5 | c;
  return join(Op.DWordPrefix, vendor >> 8, vendor & 0xff, product >> 8, product & 0xff);
}

/** Buffer of the given bytes. */
export function buffer(data: Uint8Array): Aml {
  return join(Op.Buffer, withLength(join(integer(data.length), data)));
}

/** Package { … }. */
export function pkg(...elements: Aml[]): Aml {
  return join(Op.Package, withLength(join(elements.length, ...elements)));
}

/** Name (NAME, value). */
export function name(at: string, value: Aml): Aml {
  return join(Op.Name, path(at), value);
}

/** Scope (PATH) { … }. */
export function scope(at: string, ...terms: Aml[]): Aml {
  return join(Op.Scope, withLength(join(path(at), ...terms)));
}

/** Device (NAME) { … }. */
export function device(at: string, ...terms: Aml[]): Aml {
  return join(Op.ExtPrefix, Op.Device, withLength(join(path(at), ...terms)));
}

/** Method (NAME, argument count, NotSerialized) { … }. */
export function method(at: string, argumentCount: number, ...terms: Aml[]): Aml {
  return join(Op.Method, withLength(join(path(at), argumentCount & 7, ...terms)));
}

/** Return (value). */
export function ret(value: Aml): Aml {
  return join(Op.Return, value);
}

/** Notify (DEVICE, value). */
export function notify(at: string, value: number): Aml {
  return join(Op.Notify, path(at), integer(value));
}
