import { type Fd, testLock, tryLock } from "../os/mod.ts";

/**
 * Bytes of an image that QEMU locks for each of its permissions (block/file-posix.c): a shared lock on 100 + n
 * says "I use permission n", on 200 + n "nobody else may". We keep to them, so that QEMU and its tools see us.
 */
const USES_READ = 100;
const USES_WRITE = 101;
const FORBIDS_WRITE = 201;

/**
 * Locks an image as one VM may use it: one writer alone, or any number of readers. The lock belongs to the open
 * file and ends with its last descriptor.
 *
 * @returns false when somebody else's use is in the way
 */
export function lockImage(image: Fd, readonly: boolean): boolean {
  if (!readonly) return tryLock(image, "write", 0, 0);
  return tryLock(image, "read", USES_READ, 1) &&
    tryLock(image, "read", FORBIDS_WRITE, 1) &&
    testLock(image, "write", USES_WRITE, 1);
}
