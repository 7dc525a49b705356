/** What a file is when it is not a kernel, from its first bytes. */

interface Signature {
  offset: number;
  magic: string;
  what: string;
}

const SIGNATURES: readonly Signature[] = [
  {
    offset: 0,
    magic: "\x1f\x8b",
    what: "gzip data (an initrd? a compressed vmlinux? Decompress it)",
  },
  { offset: 0, magic: "\xfd7zXZ", what: "xz data" },
  { offset: 0, magic: "\x28\xb5\x2f\xfd", what: "zstd data" },
  { offset: 0, magic: "\x04\x22\x4d\x18", what: "lz4 data" },
  { offset: 0, magic: "\x02\x21\x4c\x18", what: "lz4 data" },
  { offset: 0, magic: "BZh", what: "bzip2 data" },
  { offset: 0, magic: "070701", what: "a cpio archive (an initrd?)" },
  { offset: 0, magic: "!<arch>", what: "a Debian package or static library" },
  { offset: 0, magic: "QFI\xfb", what: "a qcow2 disk image" },
  { offset: 0, magic: "hsqs", what: "a squashfs file system" },
  { offset: 0, magic: "#!", what: "a script" },
  { offset: 0, magic: "\x27\x05\x19\x56", what: "a U-Boot image" },
  { offset: 0x38, magic: "ARM\x64", what: "a Linux kernel for 64-bit ARM" },
  { offset: 0x30, magic: "RISCV", what: "a Linux kernel for RISC-V" },
  { offset: 0x438, magic: "\x53\xef", what: "an ext2/3/4 file system" },
  { offset: 0, magic: "MZ", what: "an EFI or Windows program" },
  { offset: 0x1fe, magic: "\x55\xaa", what: "a boot sector or disk image" },
];

/** How many bytes of a file {@linkcode looksLike} wants to see. */
export const LOOK_LENGTH = 0x440;

/** A phrase such as "gzip data" for the start of a file. */
export function looksLike(start: Uint8Array): string {
  if (start.length === 0) return "an empty file";
  const text = String.fromCharCode(...start);
  const known = SIGNATURES.find(({ offset, magic }) => text.startsWith(magic, offset));
  if (known) return known.what;
  if (start.every((byte) => byte === 0)) return "a file of zeros";
  if (start.every((byte) => byte >= 0x20 && byte < 0x7f || byte >= 9 && byte <= 13)) {
    return "a text file";
  }
  return "unknown data";
}
