import { Errno } from "./errno.ts";
import { Fd } from "./fd.ts";
import { library } from "./library.ts";
import { check, OsError } from "./os_error.ts";

/** What to wait for and what happened (`epoll_ctl(2)`). Error and hang-up are always reported. */
export const Events = {
  In: 0x001,
  Out: 0x004,
  Error: 0x008,
  HangUp: 0x010,
  PeerClosed: 0x2000,
  EdgeTriggered: 0x8000_0000,
} as const;

export const EpollOperation = { Add: 1, Remove: 2, Change: 3 } as const;

/**
 * Waits for several descriptors on a thread that has nothing else to do. Waiting allocates nothing.
 * What {@link tag} and {@link events} answer belongs to the last wait of this thread.
 */
export class Poller implements Disposable {
  readonly #epoll = Fd.own(check(library().sp_epoll_create(), "create", "an epoll"));
  /** By number, which stays the same when an owner hands its descriptor on. */
  readonly #forget = new Map<number, () => void>();

  /** Readable when something has happened: another poller can wait for it. */
  get fd(): Fd {
    return this.#epoll;
  }

  /**
   * Watches a descriptor until it is removed or closed.
   *
   * @param tag a number below 2^32 that {@link Poller.tag} answers for it
   * @param events a mask of {@link Events}
   * @throws OsError EEXIST when it is watched already, EPERM for a plain file
   */
  add(fd: Fd, tag: number, events: number = Events.In): void {
    const number = fd.raw();
    this.#control(EpollOperation.Add, number, events, tag);
    this.#forget.set(number, fd.onClose(() => this.#remove(number)));
  }

  /** Changes what is waited for, or the tag. */
  change(fd: Fd, tag: number, events: number): void {
    this.#control(EpollOperation.Change, fd.raw(), events, tag);
  }

  /** Watches it no longer. */
  remove(fd: Fd): void {
    this.#remove(fd.raw());
  }

  #remove(number: number): void {
    const forget = this.#forget.get(number);
    if (forget === undefined) return;
    forget();
    this.#forget.delete(number);
    this.#control(EpollOperation.Remove, number, 0, 0);
  }

  /**
   * Blocks until something happens.
   *
   * @param timeoutMs -1 for ever, 0 not at all
   * @returns how many events there are, at most 64; 0 after the time or a signal
   */
  wait(timeoutMs: number): number {
    const count = library().sp_epoll_wait(this.#epoll.raw(), timeoutMs);
    if (count >= 0) return count;
    if (count === -Errno.EINTR) return 0;
    throw new OsError("wait for", "events", -count);
  }

  /** The tag of the i-th event of the last wait. */
  tag(i: number): number {
    return library().sp_epoll_tag(i);
  }

  /**
   * Takes what has happened without waiting, as pairs of tag and events. For a poller that another one watches: the
   * last wait of the thread is not touched.
   *
   * @param into room for 64 pairs
   * @returns how many there are
   */
  take(into: Uint32Array<ArrayBuffer>): number {
    const count = library().sp_epoll_take(this.#epoll.raw(), into, into.length / 2, 0);
    return count === -Errno.EINTR ? 0 : check(count, "take", "events");
  }

  /** What happened: a mask of {@link Events}. */
  events(i: number): number {
    return library().sp_epoll_events(i);
  }

  #control(operation: number, number: number, events: number, tag: number): void {
    const epoll = this.#epoll.raw();
    const result = library().sp_epoll_control(epoll, operation, number, events >>> 0, tag);
    check(result, "watch", "a descriptor");
  }

  [Symbol.dispose](): void {
    for (const forget of this.#forget.values()) forget();
    this.#forget.clear();
    this.#epoll[Symbol.dispose]();
  }
}
