import { Errno } from "./errno.ts";
import { EventFd } from "./event_fd.ts";
import { Fd } from "./fd.ts";
import { library } from "./library.ts";
import { check, OsError } from "./os_error.ts";
import { EpollOperation, Events } from "./poller.ts";

interface Watch {
  /** Stays the same when an owner hands its descriptor on. */
  readonly number: number;
  readonly callback: (events: number) => void;
  readonly forget: () => void;
}

const CAPACITY = 64;
const WAKE_TAG = 0;

/**
 * Calls back on the event loop of this thread when descriptors are ready; the waiting itself happens
 * on a thread of the runtime's pool. Level-triggered: a callback that leaves data is called again.
 * Keeps the process alive while something is watched.
 */
export class Reactor implements Disposable {
  readonly #epoll = Fd.own(check(library().sp_epoll_create(), "create", "an epoll"));
  readonly #wake = EventFd.create();
  // An explicit buffer: a small array could lie in the movable heap while the other thread writes.
  readonly #ready = new Uint32Array(new ArrayBuffer(CAPACITY * 8));
  readonly #watches = new Map<number, Watch>();
  readonly #tags = new Map<number, number>();
  #lastTag = WAKE_TAG;
  #running = false;
  #disposed = false;

  constructor() {
    this.#control(EpollOperation.Add, this.#wake.fd.raw(), Events.In, WAKE_TAG);
  }

  /**
   * Watches a descriptor until the returned function is called, or it is closed.
   *
   * @param callback gets the mask of what happened ({@link Events}); may add and remove, itself too
   * @throws OsError EEXIST when it is watched already
   */
  add(fd: Fd, callback: (events: number) => void, events: number = Events.In): () => void {
    if (this.#disposed) throw new Error("The reactor is disposed");
    const tag = ++this.#lastTag;
    const number = fd.raw();
    this.#control(EpollOperation.Add, number, events, tag);
    const remove = () => this.#remove(tag);
    this.#watches.set(tag, { number, callback, forget: fd.onClose(remove) });
    this.#tags.set(number, tag);
    if (!this.#running) {
      this.#running = true;
      void this.#run();
    }
    return remove;
  }

  /** Changes what is waited for on a watched descriptor; 0 pauses it. */
  change(fd: Fd, events: number): void {
    const number = fd.raw();
    const tag = this.#tags.get(number);
    if (tag === undefined) throw new Error("The reactor does not watch this descriptor");
    this.#control(EpollOperation.Change, number, events, tag);
  }

  #remove(tag: number): void {
    const watch = this.#watches.get(tag);
    if (watch === undefined) return;
    this.#watches.delete(tag);
    this.#tags.delete(watch.number);
    watch.forget();
    this.#control(EpollOperation.Remove, watch.number, 0, 0);
    if (this.#watches.size === 0) this.#wake.signal();
  }

  async #run(): Promise<void> {
    const symbols = library();
    while (!this.#disposed && this.#watches.size > 0) {
      const count = await symbols.sp_epoll_collect(this.#epoll.raw(), this.#ready, CAPACITY, -1);
      if (count < 0 && count !== -Errno.EINTR) throw new OsError("wait for", "events", -count);
      for (let i = 0; i < count; i++) this.#dispatch(this.#ready[2 * i], this.#ready[2 * i + 1]);
    }
    this.#running = false;
    if (this.#disposed) this.#close();
  }

  #dispatch(tag: number, events: number): void {
    if (tag === WAKE_TAG) {
      this.#wake.drain();
      return;
    }
    // Removed by an earlier callback of the same round: not there any more.
    const watch = this.#watches.get(tag);
    if (watch === undefined || this.#disposed) return;
    try {
      watch.callback(events);
    } catch (error) {
      // One failing callback must not stop the others; it is as uncaught as in any event handler.
      reportError(error);
    }
  }

  #control(operation: number, number: number, events: number, tag: number): void {
    const epoll = this.#epoll.raw();
    const result = library().sp_epoll_control(epoll, operation, number, events >>> 0, tag);
    check(result, "watch", "a descriptor");
  }

  #close(): void {
    this.#epoll[Symbol.dispose]();
    this.#wake[Symbol.dispose]();
  }

  /** Stops watching everything. The descriptors themselves stay open. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    for (const tag of [...this.#watches.keys()]) this.#remove(tag);
    this.#disposed = true;
    // The pool thread may be waiting: it is woken, and the last turn of the loop closes.
    if (this.#running) this.#wake.signal();
    else this.#close();
  }
}
