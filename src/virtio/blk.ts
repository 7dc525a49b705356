/** Block device: features, config space, requests (virtio 1.2 §5.2). */

import { bytes, struct, u16, u32, u64, u8 } from "../codec/mod.ts";

/** What sectors are counted in, whatever the block size is; in bytes. */
export const SECTOR_SIZE = 512;

/** Bytes of the answer to {@link BlkRequestType.GetId} (VIRTIO_BLK_ID_BYTES). */
export const SERIAL_SIZE = 20;

/** Feature bits (§5.2.3), as masks. */
export const BlkFeature = {
  SizeMax: 1n << 1n,
  SegMax: 1n << 2n,
  Geometry: 1n << 4n,
  /** VIRTIO_BLK_F_RO */
  ReadOnly: 1n << 5n,
  BlkSize: 1n << 6n,
  Flush: 1n << 9n,
  Topology: 1n << 10n,
  /** The driver may switch between write-back and write-through. */
  ConfigWce: 1n << 11n,
  Mq: 1n << 12n,
  Discard: 1n << 13n,
  WriteZeroes: 1n << 14n,
  Lifetime: 1n << 15n,
  SecureErase: 1n << 16n,
} as const;

/** struct virtio_blk_config (§5.2.4) up to the fields of zoned devices. Sectors are of 512 bytes. */
export const BlkConfig = struct({
  capacity: u64,
  sizeMax: u32,
  segMax: u32,
  cylinders: u16,
  heads: u8,
  sectors: u8,
  blkSize: u32,
  /** Logical blocks per physical block, as an exponent of two. */
  physicalBlockExp: u8,
  /** First aligned logical block. */
  alignmentOffset: u8,
  /** Suggested smallest and best I/O sizes in logical blocks. */
  minIoSize: u16,
  optIoSize: u32,
  /** 1: write-back, 0: write-through. */
  writeback: u8,
  unused0: u8,
  numQueues: u16,
  maxDiscardSectors: u32,
  maxDiscardSeg: u32,
  discardSectorAlignment: u32,
  maxWriteZeroesSectors: u32,
  maxWriteZeroesSeg: u32,
  writeZeroesMayUnmap: u8,
  unused1: bytes(3),
  maxSecureEraseSectors: u32,
  maxSecureEraseSeg: u32,
  secureEraseSectorAlignment: u32,
});

/** Head of struct virtio_blk_req (§5.2.6); data and a status byte follow. */
export const BlkRequestHeader = struct({ type: u32, reserved: u32, sector: u64 });

/** VIRTIO_BLK_T_* (§5.2.6). */
export const BlkRequestType = {
  In: 0,
  Out: 1,
  Flush: 4,
  GetId: 8,
  GetLifetime: 10,
  Discard: 11,
  WriteZeroes: 13,
  SecureErase: 14,
} as const;

/** VIRTIO_BLK_S_* (§5.2.6). */
export const BlkStatus = { Ok: 0, IoError: 1, Unsupported: 2 } as const;

/** struct virtio_blk_discard_write_zeroes (§5.2.6): one range of such a request. */
export const BlkDiscardSegment = struct({ sector: u64, sectorCount: u32, flags: u32 });

/** The only flag of {@link BlkDiscardSegment}: the blocks may be unmapped. */
export const WRITE_ZEROES_UNMAP = 1;
