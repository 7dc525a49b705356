/** One entry of a cpio archive. Paths have no leading slash. */
export type CpioEntry =
  | { readonly kind: "directory"; readonly path: string; readonly mode?: number }
  | {
    readonly kind: "file";
    readonly path: string;
    readonly data: Uint8Array;
    readonly mode?: number;
  }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | {
    readonly kind: "character";
    readonly path: string;
    readonly major: number;
    readonly minor: number;
  };

/** `stat` file type bits. */
const Type = { directory: 0o040000, file: 0o100000, link: 0o120000, character: 0o020000 } as const;

const DEFAULT_MODE = { directory: 0o755, file: 0o644, link: 0o777, character: 0o600 } as const;
const TRAILER = "TRAILER!!!";
const MAX_SIZE = 0xffff_ffff;

/**
 * An archive in the "newc" format that Linux takes as initramfs (Documentation/driver-api/early-userspace/buffer-format):
 * owned by root, without time stamps, so that equal content gives equal bytes. Folders above an entry are added where
 * they are not entries themselves: the kernel creates none by itself.
 */
export function cpio(entries: Iterable<CpioEntry>): Uint8Array {
  const chunks: Uint8Array[] = [];
  let length = 0;
  let inode = 1;
  const push = (bytes: Uint8Array) => {
    chunks.push(bytes);
    length += bytes.length;
    const padding = -length & 3;
    if (padding > 0) {
      chunks.push(new Uint8Array(padding));
      length += padding;
    }
  };
  for (const entry of withParents(entries)) {
    push(header(entry, inode++));
    push(content(entry));
  }
  push(record(TRAILER, { inode: 0, mode: 0, links: 1, size: 0 }));
  const archive = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    archive.set(chunk, offset);
    offset += chunk.length;
  }
  return archive;
}

function* withParents(entries: Iterable<CpioEntry>): Iterable<CpioEntry> {
  const seen = new Set<string>();
  for (const entry of entries) {
    if (
      entry.path.startsWith("/") || entry.path.split("/").includes("..") ||
      entry.path.includes("\0")
    ) {
      throw new RangeError(`"${entry.path}" is no path for a cpio archive`);
    }
    const parts = entry.path.split("/");
    for (let depth = 1; depth < parts.length; depth++) {
      const path = parts.slice(0, depth).join("/");
      if (!seen.has(path)) yield { kind: "directory", path };
      seen.add(path);
    }
    if (entry.kind === "directory" && seen.has(entry.path)) continue;
    seen.add(entry.path);
    yield entry;
  }
}

function header(entry: CpioEntry, inode: number): Uint8Array {
  const permissions = ("mode" in entry ? entry.mode : undefined) ?? DEFAULT_MODE[entry.kind];
  return record(entry.path, {
    inode,
    mode: Type[entry.kind] | permissions,
    links: entry.kind === "directory" ? 2 : 1,
    size: content(entry).length,
    ...(entry.kind === "character" ? { major: entry.major, minor: entry.minor } : {}),
  });
}

function content(entry: CpioEntry): Uint8Array {
  if (entry.kind === "file") return entry.data;
  if (entry.kind === "link") return new TextEncoder().encode(entry.target);
  return new Uint8Array(0);
}

function record(
  path: string,
  fields: {
    inode: number;
    mode: number;
    links: number;
    size: number;
    major?: number;
    minor?: number;
  },
): Uint8Array {
  if (fields.size > MAX_SIZE) throw new RangeError(`"${path}" is too large for a cpio archive`);
  const name = new TextEncoder().encode(`${path}\0`);
  const numbers = [
    fields.inode,
    fields.mode,
    /* uid */ 0,
    /* gid */ 0,
    fields.links,
    /* mtime */ 0,
    fields.size,
    /* device of the file */ 0,
    0,
    fields.major ?? 0,
    fields.minor ?? 0,
    name.length,
    /* check */ 0,
  ];
  const head = new TextEncoder().encode(
    "070701" + numbers.map((value) => value.toString(16).padStart(8, "0")).join(""),
  );
  const bytes = new Uint8Array(head.length + name.length);
  bytes.set(head);
  bytes.set(name, head.length);
  return bytes;
}
