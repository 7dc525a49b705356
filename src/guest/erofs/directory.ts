import { BLOCK, Dirent, FileTypes } from "./layout.ts";
import { type NamedNode, type Node, sortedChildren } from "./node.ts";

/** The blocks of a folder: in each the entries come first, then their names. */
export function directoryBlocks(folder: Node): NamedNode[][] {
  const entries = sortedChildren(folder, [[".", folder], ["..", folder.parent ?? folder]]);
  const blocks: NamedNode[][] = [];
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
  return blocks;
}

/** Bytes of a folder; the last block ends with its last name. */
export function directorySize(blocks: readonly NamedNode[][]): number {
  const last = blocks[blocks.length - 1];
  const used = last.reduce((sum, { name }) => sum + Dirent.size + name.length, 0);
  return (blocks.length - 1) * BLOCK + used;
}

/** A folder's data, when all of its nodes have their places. */
export function directoryData(blocks: readonly NamedNode[][]): Uint8Array {
  const data = new Uint8Array(directorySize(blocks));
  for (const [i, block] of blocks.entries()) {
    let nameAt = block.length * Dirent.size;
    for (const [k, { name, node: { nid, kind } }] of block.entries()) {
      const type = FileTypes[kind].dirent;
      data.set(Dirent.encode({ nid, nameAt, type }), i * BLOCK + k * Dirent.size);
      data.set(name, i * BLOCK + nameAt);
      nameAt += name.length;
    }
  }
  return data;
}
