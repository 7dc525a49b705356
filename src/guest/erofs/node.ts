import type { FileTypes } from "./layout.ts";

const encoder = new TextEncoder();
const LONGEST_NAME = 255;

/** Who owns something in an image, and who may what. */
export interface ErofsAttributes {
  /** Permissions, with the bits above them. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

/** A file, folder or the like of an image that is being made. */
export interface Node {
  readonly kind: keyof typeof FileTypes;
  attributes: ErofsAttributes;
  readonly parent: Node | undefined;
  readonly children: Map<string, Node>;
  /** Names that it has. */
  names: number;
  /** What an inode has in place of a block, of a device: its number. */
  device: number;
  /** The first block of its data. */
  block: number;
  size: number;
  /** The end of its data, if that lies behind the inode. */
  tail: Uint8Array;
  xattrs: Uint8Array;
  /** Its place; -1 until it has one. */
  nid: number;
}

export function newNode(
  kind: Node["kind"],
  attributes: ErofsAttributes,
  parent: Node | undefined,
): Node {
  const children = new Map<string, Node>();
  const place = { device: 0, block: 0, size: 0, nid: -1, names: 1 };
  const none = new Uint8Array(0);
  return { kind, attributes, parent, children, ...place, tail: none, xattrs: none };
}

/**
 * The folder in which a path's last part is to be, and that part; folders that are missing are made.
 *
 * @throws {RangeError} when the path is none, or leads through something that is no folder
 */
export function placeOf(
  root: Node,
  path: string,
  missing: ErofsAttributes,
): { readonly folder: Node; readonly name: string } {
  const parts = path.split("/").map((part) => checked(part, path));
  const name = parts.pop() ?? "";
  let folder = root;
  for (const part of parts) {
    let next = folder.children.get(part);
    if (next === undefined) {
      next = newNode("directory", missing, folder);
      folder.children.set(part, next);
    }
    if (next.kind !== "directory") throw new RangeError(`${path} lies in what is no folder`);
    folder = next;
  }
  return { folder, name };
}

/** What has a path, if anything has. */
export function nodeAt(root: Node, path: string): Node | undefined {
  return path.split("/").reduce<Node | undefined>((node, part) => node?.children.get(part), root);
}

function checked(name: string, path: string): string {
  if (
    name === "" || name === "." || name === ".." || encoder.encode(name).length > LONGEST_NAME
  ) {
    throw new RangeError(`"${path}" is no path in an image`);
  }
  return name;
}

/** A node and all below it, folders before what is in them, in the order of names; each once. */
export function allNodes(root: Node): Node[] {
  const all = new Set<Node>();
  const visit = (node: Node) => {
    if (all.has(node)) return;
    all.add(node);
    sortedChildren(node).forEach(({ node }) => visit(node));
  };
  visit(root);
  return [...all];
}

/** A name in a folder. */
export interface NamedNode {
  readonly name: Uint8Array;
  readonly node: Node;
}

/** What is in a folder, in the order of names' bytes. */
export function sortedChildren(
  folder: Node,
  more: Iterable<readonly [string, Node]> = [],
): NamedNode[] {
  return [...more, ...folder.children]
    .map(([name, node]) => ({ name: encoder.encode(name), node }))
    .sort((a, b) => compare(a.name, b.name));
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}
