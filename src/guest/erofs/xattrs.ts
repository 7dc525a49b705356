import { XATTR_PREFIXES, XattrEntry, XattrHeader } from "./layout.ts";

const encoder = new TextEncoder();
const ALIGNMENT = 4;

/**
 * Extended attributes as they stand behind an inode; those that an image cannot have are left out, such as the ACLs of
 * the host.
 */
export function encodeXattrs(xattrs: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const entries = [...xattrs].sort(([a], [b]) => a < b ? -1 : 1).flatMap(([name, value]) => {
    const prefix = XATTR_PREFIXES.find(([prefix]) => name.startsWith(prefix));
    return prefix === undefined ? [] : [entry(prefix, name, value)];
  });
  if (entries.length === 0) return new Uint8Array(0);
  const parts = [XattrHeader.encode({}), ...entries];
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** What an inode says of the size of its attributes. */
export function xattrCount({ length }: Uint8Array): number {
  return length === 0 ? 0 : (length - XattrHeader.size) / ALIGNMENT + 1;
}

function entry(
  [prefix, nameIndex]: typeof XATTR_PREFIXES[number],
  full: string,
  value: Uint8Array,
): Uint8Array {
  const name = encoder.encode(full.slice(prefix.length));
  const size = XattrEntry.size + name.length + value.length;
  const bytes = new Uint8Array(Math.ceil(size / ALIGNMENT) * ALIGNMENT);
  bytes.set(XattrEntry.encode({ nameLength: name.length, nameIndex, valueSize: value.length }));
  bytes.set(name, XattrEntry.size);
  bytes.set(value, XattrEntry.size + name.length);
  return bytes;
}
