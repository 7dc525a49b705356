import { directoryBlocks, directoryData, directorySize } from "./directory.ts";
import {
  BLOCK,
  BLOCK_BITS,
  FileTypes,
  FLAT_INLINE,
  FLAT_PLAIN,
  Inode,
  MAGIC,
  SLOT,
  Superblock,
  SUPERBLOCK_AT,
} from "./layout.ts";
import {
  allNodes,
  type ErofsAttributes,
  type NamedNode,
  newNode,
  type Node,
  nodeAt,
  placeOf,
} from "./node.ts";
import { encodeXattrs, xattrCount } from "./xattrs.ts";

export type { ErofsAttributes };

/** Something for an image, by its path without a leading `/`; the path of the root is empty. */
export type ErofsEntry =
  & { readonly path: string; readonly attributes?: Partial<ErofsAttributes> }
  & (
    | { readonly kind: "directory" | "fifo" }
    | { readonly kind: "file"; readonly data: Uint8Array | AsyncIterable<Uint8Array> }
    | { readonly kind: "link"; readonly target: string }
    | { readonly kind: "character" | "block"; readonly major: number; readonly minor: number }
    /** Another name of what was added as `target`. */
    | { readonly kind: "hardlink"; readonly target: string }
  );

/** Where an image goes: a file that is open to write. */
export interface ErofsOutput {
  writeSync(data: Uint8Array): number;
  seekSync(offset: number, whence: Deno.SeekMode): number;
}

/**
 * The end of a file lies behind its inode when it is at most so long: one block less to read, and little room lost where
 * the next inode begins a block.
 */
const LONGEST_TAIL = 2048;

/**
 * Writes a read-only erofs image, uncompressed. Data go to the output as they come, so that an image may be far larger than
 * memory; folders and inodes follow when all is there. Equal entries in equal order give equal bytes.
 */
export class Erofs {
  readonly #output: ErofsOutput;
  readonly #root: Node;
  /** Of folders that nobody adds, and where an entry does not say. */
  readonly #standard: ErofsAttributes;
  #blocks = 0;
  #at = 0;

  /** @param mtime seconds since 1970, of what does not say */
  constructor(output: ErofsOutput, { mtime = 0 }: { mtime?: number } = {}) {
    this.#output = output;
    this.#standard = { mode: 0o755, uid: 0, gid: 0, mtime, xattrs: new Map() };
    this.#root = newNode("directory", this.#standard, undefined);
    // The superblock's, which is written last.
    this.#write(new Uint8Array(BLOCK));
  }

  /**
   * Adds an entry; folders above it are added where they are missing.
   *
   * @throws {RangeError} when a path is taken, is none, or has something else than a folder above it
   */
  async add(entry: ErofsEntry): Promise<void> {
    if (entry.path === "" && entry.kind === "directory") {
      this.#describe(this.#root, entry.attributes);
      return;
    }
    const { folder, name } = placeOf(this.#root, entry.path, this.#standard);
    const present = folder.children.get(name);
    if (present !== undefined) {
      // A folder that was there already, for something in it.
      if (entry.kind !== "directory" || present.kind !== "directory") {
        throw new RangeError(`${entry.path} is there twice`);
      }
      this.#describe(present, entry.attributes);
      return;
    }
    if (entry.kind === "hardlink") {
      const target = nodeAt(this.#root, entry.target);
      if (target === undefined || target.kind === "directory") {
        throw new RangeError(`${entry.path} is to be ${entry.target}, which is no file`);
      }
      target.names++;
      folder.children.set(name, target);
      return;
    }
    const node = newNode(entry.kind, this.#standard, folder);
    const mode = entry.kind === "directory" ? 0o755 : entry.kind === "link" ? 0o777 : 0o644;
    this.#describe(node, { mode, ...entry.attributes });
    folder.children.set(name, node);
    if (entry.kind === "link") await this.#data(node, new TextEncoder().encode(entry.target));
    if (entry.kind === "file") await this.#data(node, entry.data);
    if (entry.kind === "character" || entry.kind === "block") {
      const { major, minor } = entry;
      // As Linux' new_encode_dev() has it.
      node.device = minor & 0xff | major << 8 | (minor & ~0xff) << 12;
    }
  }

  /**
   * Writes all but the data.
   *
   * @returns bytes of the image
   */
  finish(): number {
    const nodes = allNodes(this.#root);
    const folders = new Map<Node, NamedNode[][]>();
    for (const node of nodes) {
      if (node.kind !== "directory") continue;
      const blocks = directoryBlocks(node);
      folders.set(node, blocks);
      node.size = directorySize(blocks);
      // What it says is known when every inode has its place.
      node.tail = new Uint8Array(tailOf(node));
    }
    const metaSize = arrange(nodes);
    for (const [node, blocks] of folders) {
      const data = directoryData(blocks);
      node.tail.set(data.subarray(data.length - node.tail.length));
      node.block = this.#blocks;
      this.#write(data.subarray(0, data.length - node.tail.length));
      this.#pad();
    }
    const meta = new Uint8Array(Math.ceil(metaSize / BLOCK) * BLOCK);
    for (const [i, node] of nodes.entries()) encodeInode(node, i + 1, meta);
    const metaBlock = this.#blocks;
    this.#write(meta);
    const superblock = Superblock.encode({
      magic: MAGIC,
      blockBits: BLOCK_BITS,
      rootNid: this.#root.nid,
      inodes: nodes.length,
      buildTime: this.#standard.mtime,
      blocks: this.#blocks,
      metaBlock,
    });
    this.#output.seekSync(SUPERBLOCK_AT, Deno.SeekMode.Start);
    writeAll(this.#output, superblock);
    return this.#blocks * BLOCK;
  }

  #describe(node: Node, attributes: Partial<ErofsAttributes> = {}): void {
    node.attributes = { ...node.attributes, ...attributes };
    node.xattrs = encodeXattrs(node.attributes.xattrs);
  }

  /** Whole blocks are written at once; the rest becomes the tail, or a block of its own. */
  async #data(node: Node, data: Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
    node.block = this.#blocks;
    const rest = new Uint8Array(BLOCK);
    let kept = 0;
    for await (let chunk of data instanceof Uint8Array ? [data] : data) {
      node.size += chunk.length;
      if (kept > 0) {
        const taken = chunk.subarray(0, BLOCK - kept);
        rest.set(taken, kept);
        kept += taken.length;
        chunk = chunk.subarray(taken.length);
        if (kept < BLOCK) continue;
        this.#write(rest);
      }
      const whole = chunk.length - chunk.length % BLOCK;
      this.#write(chunk.subarray(0, whole));
      rest.set(chunk.subarray(whole));
      kept = chunk.length - whole;
    }
    if (tailOf(node) === kept) node.tail = rest.slice(0, kept);
    else this.#write(rest.subarray(0, kept));
    this.#pad();
  }

  #write(data: Uint8Array): void {
    writeAll(this.#output, data);
    this.#at += data.length;
    this.#blocks = Math.ceil(this.#at / BLOCK);
  }

  #pad(): void {
    this.#write(new Uint8Array(this.#blocks * BLOCK - this.#at));
  }
}

/** Bytes of data behind the inode, all of which have to be in one block. */
function tailOf({ size, xattrs }: Node): number {
  const rest = size % BLOCK;
  return rest <= Math.min(LONGEST_TAIL, BLOCK - Inode.size - xattrs.length) ? rest : 0;
}

/** Gives each inode its place: with what lies behind it, it is in one block. */
function arrange(nodes: readonly Node[]): number {
  let at = 0;
  for (const node of nodes) {
    const size = Inode.size + node.xattrs.length + node.tail.length;
    if (at % BLOCK + size > BLOCK) at = Math.ceil(at / BLOCK) * BLOCK;
    node.nid = at / SLOT;
    at = Math.ceil((at + size) / SLOT) * SLOT;
  }
  return at;
}

function encodeInode(node: Node, number: number, meta: Uint8Array): void {
  const { kind, attributes: { mode, uid, gid, mtime }, xattrs, tail } = node;
  const isDevice = kind === "character" || kind === "block";
  const folders = [...node.children.values()].filter(({ kind }) => kind === "directory").length;
  const at = node.nid * SLOT;
  meta.set(
    Inode.encode({
      format: tail.length > 0 ? FLAT_INLINE : FLAT_PLAIN,
      xattrCount: xattrCount(xattrs),
      mode: FileTypes[kind].mode | mode & 0o7777,
      size: node.size,
      block: isDevice ? node.device : node.block,
      number,
      ...{ uid, gid, mtime },
      links: kind === "directory" ? 2 + folders : node.names,
    }),
    at,
  );
  meta.set(xattrs, at + Inode.size);
  meta.set(tail, at + Inode.size + xattrs.length);
}

function writeAll(output: ErofsOutput, data: Uint8Array): void {
  for (let at = 0; at < data.length;) at += output.writeSync(data.subarray(at));
}
