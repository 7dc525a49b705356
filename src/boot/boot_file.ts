import { type Fd, fileStat, openFile, OsError, type Owned, pread, type Window } from "../os/mod.ts";
import type { GuestMemory } from "../memory/mod.ts";
import { KernelError } from "./kernel_error.ts";

/** A kernel or initrd that is read in pieces, its bulk straight into guest memory. */
export interface BootFile extends Disposable {
  /** For messages: the path it was given by. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Throws KernelError ("truncated") when the file ends before `end`. */
  requireSize(end: number): void;
  /** A copy of `length` bytes at `offset`. Throws KernelError ("truncated") when the file ends before. */
  read(offset: number, length: number): Uint8Array;
  /** Fills guest memory from the file. Throws KernelError when either does not reach that far. */
  copy(offset: number, length: number, memory: GuestMemory, guestAddress: number): void;
}

/** What a boot file is for, which decides the reason of its errors. */
export type BootFileRole = "kernel" | "initrd";

function requireSize(name: string, end: number, size: number): void {
  if (end <= size) return;
  throw new KernelError(
    "truncated",
    name,
    `the file is truncated: its headers speak of ${end} bytes, it has ${size}. Fetch it again.`,
  );
}

function target(memory: GuestMemory, guestAddress: number, length: number, name: string): number {
  const offset = memory.translate(guestAddress, length);
  if (offset < 0) {
    throw new KernelError("does-not-fit", name, "it reaches beyond the machine's memory");
  }
  return offset;
}

/** A boot file whose bytes are at hand already. */
export function bootBytes(data: Uint8Array, name: string): BootFile {
  const read = (offset: number, length: number) => {
    requireSize(name, offset + length, data.length);
    return data.slice(offset, offset + length);
  };
  return {
    name,
    size: data.length,
    requireSize: (end) => requireSize(name, end, data.length),
    read,
    copy(offset, length, memory, guestAddress) {
      const data = read(offset, length);
      if (length === 0) return;
      target(memory, guestAddress, length, name);
      memory.write(guestAddress, data);
    },
    [Symbol.dispose]() {},
  };
}

/**
 * Opens a kernel or initrd for reading. Its bytes go from the page cache into guest memory without
 * passing through JavaScript. Throws KernelError ("missing", "initrd-missing").
 */
export function openBootFile(
  path: string,
  window: Window,
  role: BootFileRole = "kernel",
): BootFile {
  let fd: Owned<Fd>;
  try {
    fd = openFile(path, { nonBlocking: true });
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    const why = error.code === "ENOENT"
      ? "there is no such file"
      : error.code === "EACCES"
      ? "permission denied"
      : error.message;
    throw new KernelError(role === "kernel" ? "missing" : "initrd-missing", path, why, {
      cause: error,
    });
  }
  return bootFd(fd, path, window, role);
}

/** A boot file over an open descriptor, which it owns from now on. */
export function bootFd(
  fd: Owned<Fd>,
  name: string,
  window: Window,
  role: BootFileRole = "kernel",
): BootFile {
  const stat = fileStat(fd);
  if (!stat.isRegular) {
    fd[Symbol.dispose]();
    const reason = role === "kernel" ? "not-a-kernel" : "initrd-missing";
    throw new KernelError(reason, name, "it is not a regular file");
  }
  const { size } = stat;
  const fill = (offset: number, length: number, windowOffset: number) => {
    requireSize(name, offset + length, size);
    for (let done = 0; done < length;) {
      const count = pread(fd, windowOffset + done, length - done, offset + done);
      if (count === 0) requireSize(name, offset + length, offset + done);
      if (count < 0) throw new OsError("read", name, -count);
      done += count;
    }
  };
  return {
    name,
    size,
    requireSize: (end) => requireSize(name, end, size),
    read(offset, length) {
      requireSize(name, offset + length, size);
      if (length === 0) return new Uint8Array(0);
      const scratch = window.allocate(length);
      try {
        window.mapAnonymous(scratch, length);
        fill(offset, length, scratch);
        return window.bytes(scratch, length).slice();
      } finally {
        window.free(scratch, length);
      }
    },
    copy(offset, length, memory, guestAddress) {
      requireSize(name, offset + length, size);
      if (length > 0) fill(offset, length, target(memory, guestAddress, length, name));
    },
    [Symbol.dispose]() {
      fd[Symbol.dispose]();
    },
  };
}
