import { Errno } from "./errno.ts";
import { library } from "./library.ts";
import { check, OsError } from "./os_error.ts";

/** A descriptor as another thread of this process can take it (structured-clonable). */
export interface SharedFd {
  readonly sharedDescriptor: number;
}

const open = new Map<OwnedFd, string>();
let tracking = false;

/**
 * From now on, remember who made each descriptor, for {@link leakedDescriptors}, and who closed or moved it, for the
 * error of a later use. Costs a stack trace each.
 */
export function trackDescriptors(on = true): void {
  tracking = on;
  open.clear();
}

/** The creation stacks of owned descriptors that are still open and were made since tracking began. */
export function leakedDescriptors(): string[] {
  return [...open.values()];
}

/**
 * Tracks descriptors from now on, and tells at the end of the process which ones are still open, with the stack of their
 * creation.
 */
export function reportLeaksAtExit(
  report: (text: string) => void = (text) => console.error(text),
): void {
  trackDescriptors();
  globalThis.addEventListener("unload", () => {
    const leaks = leakedDescriptors();
    if (leaks.length > 0) report(`${leaks.length} descriptors leaked:\n${leaks.join("\n")}`);
  });
}

/**
 * A file descriptor, whoever owns it: what may be read, written, mapped, watched. Who only uses one takes an `Fd`; who
 * closes it, or hands it on for good, takes `Owned<Fd>`; who says that it stays the lender's takes `Borrowed<Fd>`. The
 * last two are not interchangeable.
 *
 * @example
 * ```ts
 * import { read } from "./mod.ts";
 *
 * // Who only uses a descriptor takes an `Fd`, whoever owns it.
 * const readSome = (fd: Fd, buffer: Uint8Array) => read(fd, buffer);
 * ```
 */
export abstract class Fd {
  /** What no look-alike has. */
  readonly #genuine = true;

  /** Takes ownership of a number that a system call returned. Only within this room. */
  static own(number: number): Owned<Fd> {
    return new OwnedFd(number);
  }

  /**
   * Adopts a descriptor that this process was started with, and keeps it from its children.
   *
   * @throws OsError EBADF when nothing is open at that number
   */
  static inherited(number: number): Owned<Fd> {
    if (!Number.isInteger(number) || number < 0) {
      throw new OsError("use", `descriptor ${number}`, Errno.EBADF);
    }
    check(library().sp_set_cloexec(number), "use", `descriptor ${number}`);
    return new OwnedFd(number);
  }

  /** A handle in this thread on a descriptor that another thread owns and keeps open. */
  static borrow(token: SharedFd): Borrowed<Fd> {
    return new BorrowedFd({ number: token.sharedDescriptor });
  }

  /** Whether a value is a descriptor of this room, and no object that merely looks like one. */
  static is(value: unknown): value is Fd {
    return typeof value === "object" && value !== null && #genuine in value && value.#genuine;
  }

  /** The number itself. Only within this room. */
  abstract raw(): number;

  /** Closed or moved, by its owner. */
  abstract get closed(): boolean;

  /** A handle that can use the descriptor while this object owns it, and cannot close it. */
  abstract borrow(): Borrowed<Fd>;

  /** Calls back just before the descriptor closes; returns how to take that back. Only within this room. */
  abstract onClose(callback: () => void): () => void;

  /** What another thread needs for {@link Fd.borrow}; this object stays the owner. */
  share(): SharedFd {
    return { sharedDescriptor: this.raw() };
  }

  /** A second descriptor of the same open file, closed on exec. */
  dup(): Owned<Fd> {
    return new OwnedFd(check(library().sp_dup(this.raw()), "duplicate", "a descriptor"));
  }
}

/**
 * The one owner of a descriptor. Disposing closes it, once; a closed or moved one throws on any use. Bind it by `using`,
 * or hand it on by {@link OwnedFd.move}.
 */
export class OwnedFd extends Fd implements Disposable {
  #number: number;
  #end: "closed" | "moved" | undefined;
  #endedAt: Error | undefined;
  #closing: Set<() => void> | undefined;

  /** Only within this room. */
  constructor(number: number) {
    super();
    this.#number = number;
    if (tracking) open.set(this, new Error("opened").stack ?? "");
  }

  raw(): number {
    if (this.#end !== undefined) {
      const error = new OsError("use", `a ${this.#end} descriptor`, Errno.EBADF);
      if (this.#endedAt !== undefined) error.cause = this.#endedAt;
      throw error;
    }
    return this.#number;
  }

  get closed(): boolean {
    return this.#end !== undefined;
  }

  borrow(): Borrowed<Fd> {
    this.raw();
    return new BorrowedFd(this);
  }

  /** Hands the descriptor on; this object becomes unusable, and its borrows with it. */
  move(): Owned<Fd> {
    const moved = new OwnedFd(this.raw());
    moved.#closing = this.#closing;
    this.#forget("moved");
    return moved;
  }

  onClose(callback: () => void): () => void {
    const set = this.#closing ??= new Set();
    set.add(callback);
    return () => set.delete(callback);
  }

  /**
   * Closes it now. Disposing does the same and may be repeated.
   *
   * @throws OsError EBADF when it is closed or moved already: somebody believes to own what another one does
   */
  close(): void {
    this.raw();
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#end !== undefined) return;
    for (const callback of [...this.#closing ?? []]) callback();
    // A failing close has closed nevertheless (Linux), and its error belongs to an earlier write.
    library().sp_close(this.#number);
    this.#forget("closed");
  }

  #forget(how: "closed" | "moved"): void {
    this.#end = how;
    if (tracking) this.#endedAt = new Error(`${how} here`);
    this.#number = -1;
    this.#closing = undefined;
    open.delete(this);
  }
}

/** A descriptor that somebody else owns and closes. It is of no more use than its owner. */
export class BorrowedFd extends Fd {
  readonly #lender: Fd | { readonly number: number };
  readonly #closing = new Set<() => void>();
  #ended = false;

  /** Only within this room. */
  constructor(lender: Fd | { readonly number: number }) {
    super();
    this.#lender = lender;
  }

  raw(): number {
    if (this.#lender instanceof Fd) return this.#lender.raw();
    if (this.#ended) throw new OsError("use", "a closed descriptor", Errno.EBADF);
    return this.#lender.number;
  }

  get closed(): boolean {
    return this.#lender instanceof Fd ? this.#lender.closed : this.#ended;
  }

  borrow(): Borrowed<Fd> {
    return new BorrowedFd(this.#lender instanceof Fd ? this.#lender : this);
  }

  onClose(callback: () => void): () => void {
    if (this.#lender instanceof Fd) return this.#lender.onClose(callback);
    this.#closing.add(callback);
    return () => this.#closing.delete(callback);
  }

  /** Its owner, which is no object here, is about to close it. Only within this room. */
  end(): void {
    for (const callback of [...this.#closing]) callback();
    this.#ended = true;
  }
}

/**
 * The owner of a descriptor: may close it and hand it on, and has to do one of them.
 *
 * @example
 * ```ts
 * // Who takes an `Owned<Fd>` closes it.
 * function discard(fd: Owned<Fd>): void {
 *   using _closed = fd;
 * }
 * ```
 */
export type Owned<T extends Fd> = T & OwnedFd;

/**
 * A descriptor whose owner is somebody else: can be used, not closed or handed on.
 *
 * @example
 * ```ts
 * // Who takes a `Borrowed<Fd>` can use it, and cannot close it.
 * const isOpen = (fd: Borrowed<Fd>) => !fd.closed;
 * ```
 */
export type Borrowed<T extends Fd> = T & BorrowedFd;

/** Closes a descriptor that may be somebody else's, if it is not. */
export function closeOwned(fd: Owned<Fd> | Borrowed<Fd>): void {
  if (fd instanceof OwnedFd) fd[Symbol.dispose]();
}
