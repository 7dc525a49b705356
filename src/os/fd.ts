import { Errno } from "./errno.ts";
import { library } from "./library.ts";
import { check, OsError } from "./os_error.ts";

/** A descriptor as another thread of this process can take it (structured-clonable). */
export interface SharedFd {
  readonly sharedDescriptor: number;
}

const open = new Map<Fd, string>();
let tracking = false;

/** From now on, remember who made each descriptor, for {@link leakedDescriptors}. Costs a stack trace each. */
export function trackDescriptors(on = true): void {
  tracking = on;
  open.clear();
}

/** The creation stacks of owned descriptors that are still open and were made since tracking began. */
export function leakedDescriptors(): string[] {
  return [...open.values()];
}

/**
 * The one owner of a file descriptor. Disposing closes it; a closed or moved one throws on any use.
 */
export class Fd implements Disposable {
  #number: number;
  #owned: boolean;
  #closing: Set<() => void> | undefined;

  private constructor(number: number, owned: boolean) {
    this.#number = number;
    this.#owned = owned;
    if (tracking && owned) open.set(this, new Error("opened").stack ?? "");
  }

  /** Takes ownership of a number that a system call returned. Only within this room. */
  static own(number: number): Fd {
    return new Fd(number, true);
  }

  /**
   * Adopts a descriptor that this process was started with, and keeps it from its children.
   *
   * @throws OsError EBADF when nothing is open at that number
   */
  static inherited(number: number): Fd {
    if (!Number.isInteger(number) || number < 0) {
      throw new OsError("use", `descriptor ${number}`, Errno.EBADF);
    }
    check(library().sp_set_cloexec(number), "use", `descriptor ${number}`);
    return new Fd(number, true);
  }

  /** A handle in this thread on a descriptor that another thread owns and keeps open. Disposing it does nothing. */
  static borrow(token: SharedFd): Fd {
    return new Fd(token.sharedDescriptor, false);
  }

  /** What another thread needs for {@link Fd.borrow}; this object stays the owner. */
  share(): SharedFd {
    return { sharedDescriptor: this.raw() };
  }

  /** The number itself. Only within this room. */
  raw(): number {
    if (this.#number < 0) throw new OsError("use", "a closed descriptor", Errno.EBADF);
    return this.#number;
  }

  /** Closed or moved. */
  get closed(): boolean {
    return this.#number < 0;
  }

  /** Hands the descriptor on; this object becomes unusable. */
  move(): Fd {
    const moved = new Fd(this.raw(), this.#owned);
    moved.#closing = this.#closing;
    this.#forget();
    return moved;
  }

  /** A second descriptor of the same open file, closed on exec. */
  dup(): Fd {
    return Fd.own(check(library().sp_dup(this.raw()), "duplicate", "a descriptor"));
  }

  /** Calls back just before the descriptor closes; returns how to take that back. Only within this room. */
  onClose(callback: () => void): () => void {
    const set = this.#closing ??= new Set();
    set.add(callback);
    return () => set.delete(callback);
  }

  #forget(): void {
    this.#number = -1;
    this.#closing = undefined;
    open.delete(this);
  }

  [Symbol.dispose](): void {
    if (this.#number < 0) return;
    for (const callback of [...this.#closing ?? []]) callback();
    // A failing close has closed nevertheless (Linux), and its error belongs to an earlier write.
    if (this.#owned) library().sp_close(this.#number);
    this.#forget();
  }
}
