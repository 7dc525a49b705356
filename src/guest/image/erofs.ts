import { struct, u16, u32, u64, u8 } from "../../codec/mod.ts";

/** Something in a file system, by its path without a leading `/`. */
export type ImageEntry =
  | { readonly kind: "directory"; readonly path: string }
  | {
    readonly kind: "file";
    readonly path: string;
    readonly data: Uint8Array;
    readonly executable?: boolean;
  }
  | { readonly kind: "link"; readonly path: string; readonly target: string };

// The structures of Linux' fs/erofs/erofs_fs.h, as far as a plain image has them.
const BLOCK_BITS = 12;
const BLOCK = 1 << BLOCK_BITS;
const MAGIC = 0xe0f5_e1e2;
const SUPERBLOCK_AT = 1024;
const Superblock = struct({
  magic: u32,
  checksum: u32,
  compatible: u32,
  blockBits: u8,
  extensionSlots: u8,
  rootNid: u16,
  inodes: u64,
  buildTime: u64,
  buildTimeNanoseconds: u32,
  blocks: u32,
  metaBlock: u32,
});
/** A compact inode; its data lie in blocks of their own (flat, plain). */
const Inode = struct({
  format: u16,
  xattrs: u16,
  mode: u16,
  links: u16,
  size: u32,
  reserved: u32,
  block: u32,
  number: u32,
  uid: u16,
  gid: u16,
  reserved2: u32,
});
const Dirent = struct({ nid: u64, nameAt: u16, type: u8, reserved: u8 });

const META_BLOCK = 1;
const Mode = { file: 0o100644, executable: 0o100755, directory: 0o040755, link: 0o120777 } as const;
const FileType = { file: 1, directory: 2, link: 7 } as const;
const encoder = new TextEncoder();

interface Node {
  readonly kind: ImageEntry["kind"];
  readonly mode: number;
  readonly parent: Node | undefined;
  readonly children: Map<string, Node>;
  /** In units of 32 bytes from the start of the metadata. */
  nid: number;
  data: Uint8Array;
}

/**
 * A read-only erofs image: uncompressed, owned by root, without time stamps, so that equal content gives equal bytes.
 * Folders above an entry are added where they are missing.
 *
 * @throws RangeError when a path is taken twice, is not one, or has something else than a folder above it
 */
export function erofs(entries: readonly ImageEntry[]): Uint8Array<ArrayBuffer> {
  const root = newNode("directory", Mode.directory, undefined);
  for (const entry of entries) place(root, entry);
  const nodes: Node[] = [];
  const number = (node: Node) => {
    node.nid = nodes.push(node) - 1;
    node.children.forEach(number);
  };
  number(root);
  for (const node of nodes) if (node.kind === "directory") node.data = directoryData(node);

  let block = META_BLOCK + blocksOf(nodes.length * Inode.size);
  const places = nodes.map(({ data }) => {
    const at = block;
    block += blocksOf(data.length);
    return at;
  });
  const image = new Uint8Array(block * BLOCK);
  image.set(
    Superblock.encode({
      magic: MAGIC,
      blockBits: BLOCK_BITS,
      rootNid: root.nid,
      inodes: nodes.length,
      blocks: block,
      metaBlock: META_BLOCK,
    }),
    SUPERBLOCK_AT,
  );
  for (const [i, { mode, nid, data, children, kind }] of nodes.entries()) {
    const folders = [...children.values()].filter((child) => child.kind === "directory").length;
    image.set(
      Inode.encode({
        mode,
        links: kind === "directory" ? 2 + folders : 1,
        size: data.length,
        block: places[i],
        number: nid + 1,
      }),
      META_BLOCK * BLOCK + nid * Inode.size,
    );
    image.set(data, places[i] * BLOCK);
  }
  return image;
}

function newNode(kind: Node["kind"], mode: number, parent: Node | undefined): Node {
  return { kind, mode, parent, children: new Map(), nid: 0, data: new Uint8Array(0) };
}

function place(root: Node, entry: ImageEntry): void {
  const parts = entry.path.split("/");
  const name = parts.pop() ?? "";
  let folder = root;
  for (const part of parts) {
    let next = folder.children.get(part);
    if (next === undefined) {
      next = newNode("directory", Mode.directory, folder);
      folder.children.set(checked(part, entry.path), next);
    }
    if (next.kind !== "directory") throw new RangeError(`${entry.path} lies in what is no folder`);
    folder = next;
  }
  if (folder.children.has(name)) {
    // A folder that was there already, for something in it.
    if (entry.kind === "directory" && folder.children.get(name)?.kind === "directory") return;
    throw new RangeError(`${entry.path} is there twice`);
  }
  const mode = entry.kind === "file" && entry.executable ? Mode.executable : Mode[entry.kind];
  const node = newNode(entry.kind, mode, folder);
  if (entry.kind === "file") node.data = entry.data;
  if (entry.kind === "link") node.data = encoder.encode(entry.target);
  folder.children.set(checked(name, entry.path), node);
}

function checked(name: string, path: string): string {
  if (name === "" || name === "." || name === ".." || encoder.encode(name).length > 255) {
    throw new RangeError(`"${path}" is no path in an image`);
  }
  return name;
}

/** Entries in order of their names' bytes; those of each block come first, then their names. */
function directoryData(folder: Node): Uint8Array {
  const entries = [[".", folder], ["..", folder.parent ?? folder], ...folder.children]
    .map(([name, node]) => ({ name: encoder.encode(name as string), node: node as Node }))
    .sort((a, b) => compare(a.name, b.name));
  const blocks: (typeof entries)[] = [];
  let room = 0;
  for (const entry of entries) {
    const size = Dirent.size + entry.name.length;
    if (size > room) {
      blocks.push([]);
      room = BLOCK;
    }
    blocks.at(-1)?.push(entry);
    room -= size;
  }
  const data = new Uint8Array(blocks.length * BLOCK);
  let end = 0;
  for (const [i, block] of blocks.entries()) {
    let nameAt = block.length * Dirent.size;
    for (const [k, { name, node }] of block.entries()) {
      const type = FileType[node.kind];
      data.set(
        Dirent.encode({ nid: node.nid, nameAt, type }),
        i * BLOCK + k * Dirent.size,
      );
      data.set(name, i * BLOCK + nameAt);
      nameAt += name.length;
    }
    end = i * BLOCK + nameAt;
  }
  return data.subarray(0, end);
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at < 0 ? a.length - b.length : at >= b.length ? 1 : a[at] - b[at];
}

function blocksOf(bytes: number): number {
  return Math.ceil(bytes / BLOCK);
}
