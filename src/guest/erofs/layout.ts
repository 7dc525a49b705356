import { struct, u16, u32, u64, u8 } from "../../codec/mod.ts";

// The structures of Linux' fs/erofs/erofs_fs.h, as far as an uncompressed image has them.

export const BLOCK_BITS = 12;
export const BLOCK = 1 << BLOCK_BITS;
export const MAGIC = 0xe0f5_e1e2;
export const SUPERBLOCK_AT = 1024;

/** struct erofs_super_block */
export const Superblock = struct({
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

/** struct erofs_inode_extended */
export const Inode = struct({
  format: u16,
  xattrCount: u16,
  mode: u16,
  reserved: u16,
  size: u64,
  /** Of the data; a device's number instead. */
  block: u32,
  number: u32,
  uid: u32,
  gid: u32,
  mtime: u64,
  mtimeNanoseconds: u32,
  links: u32,
  reserved2: u64,
  reserved3: u64,
});

/** Inodes are numbered by their place, in these units. */
export const SLOT = 32;

const EXTENDED = 1;
/** `format` of an inode whose data lie in blocks of their own. */
export const FLAT_PLAIN = EXTENDED;
/** The same, but what does not fill a block lies behind the inode. */
export const FLAT_INLINE = EXTENDED | 2 << 1;

/** struct erofs_dirent */
export const Dirent = struct({ nid: u64, nameAt: u16, type: u8, reserved: u8 });

/** S_IFMT of a mode, and the type of a directory's entry. */
export const FileTypes = {
  file: { mode: 0o100000, dirent: 1 },
  directory: { mode: 0o040000, dirent: 2 },
  character: { mode: 0o020000, dirent: 3 },
  block: { mode: 0o060000, dirent: 4 },
  fifo: { mode: 0o010000, dirent: 5 },
  link: { mode: 0o120000, dirent: 7 },
} as const;

/** struct erofs_xattr_ibody_header, before an inode's extended attributes. */
export const XattrHeader = struct({
  nameFilter: u32,
  shared: u8,
  reserved: u8,
  reserved2: u16,
  reserved3: u32,
});
/** struct erofs_xattr_entry, before name and value of each. */
export const XattrEntry = struct({ nameLength: u8, nameIndex: u8, valueSize: u16 });
/** Names are kept without the first part, which has a number. */
export const XATTR_PREFIXES = [
  ["user.", 1],
  ["trusted.", 4],
  ["security.", 6],
] as const;
