import { type Fd, type Owned, reopen, testLock, tryLock } from "../os/mod.ts";

/**
 * Bytes of an image that QEMU locks for each of its permissions (block/file-posix.c): a shared lock on 100 + n
 * says "I use permission n", on 200 + n "nobody else may". We keep to them, so that QEMU and its tools see us.
 */
const USES_READ = 100;
const USES_WRITE = 101;
const FORBIDS_WRITE = 201;

/** From here on each byte belongs to one device that works past the page cache; see {@linkcode DirectImage}. */
const USERS = 2 ** 52;

/**
 * Locks an image as one VM may use it: one writer alone, or any number of readers. The lock belongs to the open
 * file and ends with its last descriptor.
 *
 * @returns false when somebody else's use is in the way
 */
export function lockImage(image: Fd, readonly: boolean): boolean {
  if (!readonly) {
    return tryLock(image, "write", 0, USERS) && testLock(image, "write", USERS, 0);
  }
  return tryLock(image, "read", USES_READ, 1) &&
    tryLock(image, "read", FORBIDS_WRITE, 1) &&
    testLock(image, "write", USES_WRITE, 1);
}

/** How often to look whether a predecessor's requests are done, in milliseconds. */
const LOOK_MS = 10;

/**
 * An image for the workers of one device, one after the other, past the page cache. Requests that a killed worker left with
 * the kernel (io_uring) go on without it and would write over what its successor wrote, or into memory that the guest has
 * reused. They hold the open file, and that holds a lock, so each worker has an open file of its own and waits for that
 * lock to be gone.
 */
export class DirectImage {
  readonly #image: Fd;
  readonly #mark = USERS + crypto.getRandomValues(new Uint32Array(1))[0];
  #isWaiting = false;

  constructor(image: Fd) {
    this.#image = image;
  }

  /** Requests of a worker that is gone are under way. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** The image for the next worker, when the last one's requests are done. Rejects with the signal's reason. */
  async open(signal: AbortSignal): Promise<Owned<Fd>> {
    using file = reopen(this.#image);
    try {
      while (!testLock(file, "write", this.#mark, 1)) {
        this.#isWaiting = true;
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        signal.throwIfAborted();
      }
    } finally {
      this.#isWaiting = false;
    }
    tryLock(file, "read", this.#mark, 1);
    return file.move();
  }
}
