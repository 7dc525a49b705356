import { Errno, errorText } from "./errno.ts";
import { type Borrowed, Fd } from "./fd.ts";
import type { IoVector } from "./io_vector.ts";
import { library } from "./library.ts";
import { check, OsError } from "./os_error.ts";
import type { Window } from "./window.ts";

const MAX_RINGS = 8;
const BATCH = 256;
const COMPLETION_SIZE = 16;
const AREA = BATCH * COMPLETION_SIZE;

/** Why there is no ring. */
export interface NoUring {
  readonly reason: string;
}

let used = 0;

/**
 * An io_uring that can read, write and sync one file and nothing else: the kernel refuses every other
 * operation and descriptor (IORING_REGISTER_RESTRICTIONS). Queueing costs no system call, submitting
 * one for a batch, reading completions none. Nothing here allocates.
 */
export class Uring implements Disposable {
  /** Readable while there are completions; for a {@link Poller}. */
  readonly fd: Borrowed<Fd>;
  /** How many operations can wait for submission. */
  readonly entries: number;
  /** How many completions fit; never have more in flight. */
  readonly completionEntries: number;
  /** Of the completion that {@link next} moved to: the number given when it was queued. */
  userData = 0;
  /** Of that completion: bytes, or a negative error number. */
  result = 0;

  readonly #window: Window;
  readonly #id: number;
  readonly #area: number;
  readonly #words: Uint32Array;
  readonly #signed: Int32Array;
  #collected = 0;
  #position = 0;
  #pending = 0;

  private constructor(window: Window, id: number, area: number, answer: Uint32Array) {
    const [descriptor, entries, completions] = answer;
    this.#window = window;
    this.#id = id;
    this.#area = area;
    // The shim closes the ring; this handle is for polling.
    this.fd = Fd.borrow({ sharedDescriptor: descriptor });
    this.entries = entries;
    this.completionEntries = completions;
    this.#words = new Uint32Array(window.buffer, area, AREA / 4);
    this.#signed = new Int32Array(window.buffer, area, AREA / 4);
  }

  /**
   * Makes a ring over one file, or says why the host has none (disabled, too old, no memory to lock).
   *
   * @param entries a power of two; the ring takes at most 4096
   */
  static tryCreate(window: Window, file: Fd, entries = 256): Uring | NoUring {
    let id = 0;
    while (id < MAX_RINGS && (used & (1 << id))) id++;
    if (id === MAX_RINGS) return { reason: `this process has ${MAX_RINGS} rings already` };
    const area = window.allocate(AREA);
    window.mapAnonymous(area, AREA);
    const answer = new Uint32Array(3);
    const result = library().sp_uring_create(id, entries, file.raw(), answer);
    if (result < 0) {
      window.free(area, AREA);
      return { reason: `io_uring is not available: ${explain(-result)}` };
    }
    used |= 1 << id;
    return new Uring(window, id, area, answer);
  }

  /** Queues a read into the window. Returns 0, -EBUSY when the queue is full, -EFAULT outside of the window. */
  read(windowOffset: number, length: number, fileOffset: number, userData: number): number {
    return this.#queued(
      library().sp_uring_transfer(this.#id, 0, windowOffset, length, fileOffset, userData),
    );
  }

  /** Queues a write from the window; results as for {@link read}. */
  write(windowOffset: number, length: number, fileOffset: number, userData: number): number {
    return this.#queued(
      library().sp_uring_transfer(this.#id, 1, windowOffset, length, fileOffset, userData),
    );
  }

  /** Queues a vectored read. The vector may be reused at once. */
  readVector(vector: IoVector, fileOffset: number, userData: number): number {
    return this.#queued(
      library().sp_uring_vector(this.#id, 0, vector.offset, vector.count, fileOffset, userData),
    );
  }

  /** Queues a vectored write. The vector may be reused at once. */
  writeVector(vector: IoVector, fileOffset: number, userData: number): number {
    return this.#queued(
      library().sp_uring_vector(this.#id, 1, vector.offset, vector.count, fileOffset, userData),
    );
  }

  /** Queues an fdatasync, which covers what was completed before it was submitted. */
  sync(userData: number): number {
    return this.#queued(library().sp_uring_sync(this.#id, userData));
  }

  /** How many are queued and not submitted. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * Hands everything queued to the kernel.
   *
   * @param complete wait until so many completions are there; 0 does not wait
   * @returns how many were taken, or -EAGAIN, -EBUSY, -EINTR: try again after reading completions
   * @throws OsError on anything else
   */
  submit(complete = 0): number {
    if (this.#pending === 0 && complete === 0) return 0;
    const result = library().sp_uring_submit(this.#id, complete);
    if (result >= 0) {
      this.#pending -= result;
      return result;
    }
    if (result === -Errno.EAGAIN || result === -Errno.EBUSY || result === -Errno.EINTR) {
      return result;
    }
    throw new OsError("submit to", "io_uring", -result);
  }

  /** Whether the kernel has completions that {@link next} has not read. */
  get hasCompletions(): boolean {
    return library().sp_uring_has_completions(this.#id) !== 0;
  }

  /** Moves to the next completion: true, with {@link userData} and {@link result} set; false when there is none. */
  next(): boolean {
    if (this.#position === this.#collected) {
      this.#position = 0;
      this.#collected = check(
        library().sp_uring_collect(this.#id, this.#area, BATCH),
        "read completions of",
        "io_uring",
      );
      if (this.#collected === 0) return false;
    }
    const at = this.#position++ * (COMPLETION_SIZE / 4);
    this.userData = this.#words[at] + this.#words[at + 1] * 0x1_0000_0000;
    this.result = this.#signed[at + 2];
    return true;
  }

  #queued(result: number): number {
    if (result === 0) this.#pending++;
    return result;
  }

  /** Closes the ring. Have nothing in flight: the kernel would still write to that memory. */
  [Symbol.dispose](): void {
    if (this.fd.closed) return;
    this.fd.end();
    check(library().sp_uring_destroy(this.#id), "close", "io_uring");
    used &= ~(1 << this.#id);
    this.#window.free(this.#area, AREA);
  }
}

function explain(errno: number): string {
  if (errno === Errno.ENOSYS || errno === Errno.EPERM) return "this host disables it";
  if (errno === Errno.ENOMEM) return "no memory may be locked (RLIMIT_MEMLOCK)";
  return errorText(errno);
}
