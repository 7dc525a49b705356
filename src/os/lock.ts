import { Errno } from "./errno.ts";
import type { Fd } from "./fd.ts";
import { monitor } from "./library.ts";
import { check } from "./os_error.ts";

/** Kind of a lock; a write lock excludes all others. */
export type LockKind = "read" | "write";

const kinds = { read: 0, write: 1, unlock: 2 } as const;

/**
 * Takes a lock on a range of bytes for the open file (F_OFD_SETLK): it goes with the descriptor to
 * another process and is held until the last copy of it closes.
 *
 * @param length 0 means up to the end
 * @returns false when somebody else has a lock in the way
 * @throws OsError EBADF when the descriptor is not open for that kind of access
 */
export function tryLock(fd: Fd, kind: LockKind, start: number, length: number): boolean {
  const result = monitor().sp_lock(fd.raw(), kinds[kind], start, length);
  if (result === -Errno.EAGAIN || result === -Errno.EACCES) return false;
  check(result, "lock", "a file");
  return true;
}

/** Whether {@link tryLock} would succeed now, without taking the lock. */
export function testLock(fd: Fd, kind: LockKind, start: number, length: number): boolean {
  const result = monitor().sp_test_lock(fd.raw(), kinds[kind], start, length);
  return check(result, "examine the locks of", "a file") === kinds.unlock;
}

/** Gives a lock back before the descriptor closes. */
export function unlock(fd: Fd, start: number, length: number): void {
  check(monitor().sp_lock(fd.raw(), kinds.unlock, start, length), "unlock", "a file");
}
