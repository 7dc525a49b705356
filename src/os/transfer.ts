/**
 * Input and output between descriptors and the window. Nothing here throws for what the kernel
 * says: results are byte counts or negative error numbers, -EFAULT for a range outside of the window.
 */

import type { Fd } from "./fd.ts";
import type { IoVector } from "./io_vector.ts";
import { library } from "./library.ts";

/** Reads at a position of a file into the window. */
export function pread(fd: Fd, windowOffset: number, length: number, fileOffset: number): number {
  return library().sp_pread(fd.raw(), windowOffset, length, fileOffset);
}

/** Writes from the window at a position of a file. */
export function pwrite(fd: Fd, windowOffset: number, length: number, fileOffset: number): number {
  return library().sp_pwrite(fd.raw(), windowOffset, length, fileOffset);
}

/** Reads at a position of a file into several ranges of the window. */
export function preadv(fd: Fd, vector: IoVector, fileOffset: number): number {
  return library().sp_preadv(fd.raw(), vector.offset, vector.count, fileOffset);
}

/** Writes from several ranges of the window at a position of a file. */
export function pwritev(fd: Fd, vector: IoVector, fileOffset: number): number {
  return library().sp_pwritev(fd.raw(), vector.offset, vector.count, fileOffset);
}

/** Reads from a stream into several ranges of the window. */
export function readv(fd: Fd, vector: IoVector): number {
  return library().sp_readv(fd.raw(), vector.offset, vector.count);
}

/** Writes from several ranges of the window to a stream. */
export function writev(fd: Fd, vector: IoVector): number {
  return library().sp_writev(fd.raw(), vector.offset, vector.count);
}

/** As {@link readv}, and never waits, even when who shares the open file makes it blocking. */
export function readvNow(fd: Fd, vector: IoVector): number {
  return library().sp_readv_now(fd.raw(), vector.offset, vector.count);
}

/** As {@link writev}, and never waits, even when who shares the open file makes it blocking. */
export function writevNow(fd: Fd, vector: IoVector): number {
  return library().sp_writev_now(fd.raw(), vector.offset, vector.count);
}

/** Returns when what was written is on the disk. */
export function fdatasync(fd: Fd): number {
  return library().sp_fdatasync(fd.raw());
}

/** Modes of {@link fallocate} (`fallocate(2)`). */
export const FallocateMode = { KeepSize: 0x01, PunchHole: 0x02, ZeroRange: 0x10 } as const;

/** Allocates, zeroes or frees a part of a file. */
export function fallocate(fd: Fd, mode: number, offset: number, length: number): number {
  return library().sp_fallocate(fd.raw(), mode, offset, length);
}

/** Tells a block device that a range is not needed (BLKDISCARD). */
export function blockDiscard(fd: Fd, offset: number, length: number): number {
  return library().sp_block_range(fd.raw(), 0, offset, length);
}

/** Writes zeroes to a range of a block device (BLKZEROOUT). */
export function blockZeroout(fd: Fd, offset: number, length: number): number {
  return library().sp_block_range(fd.raw(), 1, offset, length);
}

/** Fills a range of the window with random bytes; may fill less. */
export function getrandom(windowOffset: number, length: number): number {
  return library().sp_getrandom(windowOffset, length);
}

/** Waits for events (a mask as for poll) on one descriptor. Returns what happened, 0 after the time. */
export function pollOne(fd: Fd, events: number, timeoutMs: number): number {
  return library().sp_poll_one(fd.raw(), events, timeoutMs);
}
