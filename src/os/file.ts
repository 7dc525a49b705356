import { Fd, type Owned } from "./fd.ts";
import { cString, library, monitor } from "./library.ts";
import { check, OsError } from "./os_error.ts";

/** How to open a file. */
export interface OpenFlags {
  readonly write?: boolean;
  /** Only writing: neither `read` nor both. */
  readonly writeOnly?: boolean;
  readonly create?: boolean;
  /** With `create`: fail with EEXIST when it is there. */
  readonly exclusive?: boolean;
  readonly truncate?: boolean;
  readonly append?: boolean;
  /** O_DIRECT: past the page cache; memory, offsets and lengths must be aligned to the block size. */
  readonly direct?: boolean;
  readonly nonBlocking?: boolean;
  readonly directory?: boolean;
  /** Do not follow a symbolic link at the end of the path. */
  readonly noFollow?: boolean;
  /** Do not make a terminal the controlling one. Always so when left out. */
  readonly mode?: number;
}

/** Opens a file, for reading unless the flags say more. Closed on exec. */
export function openFile(path: string, flags: OpenFlags = {}): Owned<Fd> {
  let bits = 0o400; // O_NOCTTY
  if (flags.writeOnly) bits |= 1;
  else if (flags.write) bits |= 2;
  if (flags.create) bits |= 0o100;
  if (flags.exclusive) bits |= 0o200;
  if (flags.truncate) bits |= 0o1000;
  if (flags.append) bits |= 0o2000;
  if (flags.nonBlocking) bits |= 0o4000;
  if (flags.direct) bits |= 0o40000;
  if (flags.directory) bits |= 0o200000;
  if (flags.noFollow) bits |= 0o400000;
  return Fd.own(check(monitor().sp_open(cString(path), bits, flags.mode ?? 0o666), "open", path));
}

/** Opens the file behind a descriptor once more, in the same way: an open file of its own, with its own locks. */
export function reopen(fd: Fd): Owned<Fd> {
  return openFile(pathOf(fd), openMode(fd));
}

/** A path that leads to the file behind a descriptor, in this process. */
export function pathOf(fd: Fd): string {
  return `/proc/self/fd/${fd.raw()}`;
}

/** What a descriptor is. */
export interface FileStat {
  /** Bytes; of a block device, too. */
  readonly size: number;
  /** Logical block size of a block device, preferred one of a file. */
  readonly blockSize: number;
  readonly isRegular: boolean;
  readonly isBlockDevice: boolean;
  readonly isSocket: boolean;
  readonly dev: number;
  readonly ino: number;
  /** Type and permission bits (`st_mode`). */
  readonly mode: number;
}

export function fileStat(fd: Fd): FileStat {
  const out = new Float64Array(6);
  check(library().sp_stat(fd.raw(), out), "examine", "a descriptor");
  const [size, blockSize, kind, dev, ino, mode] = out;
  return {
    size,
    blockSize,
    isRegular: kind === 1,
    isBlockDevice: kind === 2,
    isSocket: kind === 3,
    dev,
    ino,
    mode,
  };
}

/** What a descriptor that somebody sent can be. */
export type FdKind = "memory" | "socket" | "pipe" | "event" | "other";

const KINDS: readonly FdKind[] = ["other", "memory", "socket", "pipe", "event"];

/** What a descriptor is: memory is a memfd, a socket a Unix stream socket, an event an eventfd. */
export function fdKind(fd: Fd): FdKind {
  return KINDS[check(library().sp_kind(fd.raw()), "examine", "a descriptor")];
}

/** How a descriptor was opened. */
export function openMode(fd: Fd): { read: boolean; write: boolean; direct: boolean } {
  const flags = check(library().sp_status_flags(fd.raw()), "examine", "a descriptor");
  const access = flags & 3;
  return { read: access !== 1, write: access !== 0, direct: (flags & 0o40000) !== 0 };
}

/** Says who may do what with a file. */
export function changeMode(fd: Fd, mode: number): void {
  check(monitor().sp_change_mode(fd.raw(), mode), "change the mode of", "a file");
}

/** Sets the length of a file. */
export function truncate(fd: Fd, length: number): void {
  check(monitor().sp_truncate(fd.raw(), length), "resize", "a file");
}

/** Whether a descriptor is a terminal. */
export function isTerminal(fd: Fd): boolean {
  return monitor().sp_isatty(fd.raw()) === 1;
}

/**
 * Writes bytes that are not in the window.
 *
 * @returns how many were written, or a negative error number
 */
export function write(fd: Fd, bytes: Uint8Array): number {
  return library().sp_write_buffer(fd.raw(), bytes as Uint8Array<ArrayBuffer>, bytes.length);
}

/** Writes all of the bytes to a blocking descriptor. */
export function writeAll(fd: Fd, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    const count = write(fd, bytes.subarray(done));
    if (count === 0) throw new OsError("write to", "a descriptor", 5);
    done += count === -4 ? 0 : check(count, "write to", "a descriptor");
  }
}

/**
 * Reads into a buffer that is not in the window.
 *
 * @returns how many bytes were read (0 at the end), or a negative error number
 */
export function read(fd: Fd, buffer: Uint8Array): number {
  return library().sp_read_buffer(fd.raw(), buffer as Uint8Array<ArrayBuffer>, buffer.length);
}
