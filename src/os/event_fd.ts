import { Errno } from "./errno.ts";
import { type Borrowed, closeOwned, Fd, type Owned } from "./fd.ts";
import { library } from "./library.ts";
import { check, OsError } from "./os_error.ts";

/** A counter that another thread, process or the kernel raises, and that can be waited for. */
export class EventFd implements Disposable {
  private constructor(readonly fd: Owned<Fd> | Borrowed<Fd>) {}

  /** A new one, at zero, non-blocking. */
  static create(): EventFd {
    return new EventFd(Fd.own(check(library().sp_eventfd(), "create", "an event")));
  }

  /** One that a peer made: takes over the descriptor and makes it non-blocking. */
  static adopt(fd: Owned<Fd>): EventFd {
    check(library().sp_set_nonblocking(fd.raw(), 1), "use", "an event");
    return new EventFd(fd.move());
  }

  /** One that another thread owns. */
  static borrow(fd: Fd): EventFd {
    return new EventFd(fd.borrow());
  }

  /** Adds one. A counter that is full stays full: the waiter wakes anyway. */
  signal(): void {
    const result = library().sp_event_signal(this.fd.raw());
    if (result < 0 && result !== -Errno.EAGAIN) throw new OsError("signal", "an event", -result);
  }

  /** Takes the count, and leaves zero. Never blocks; 0 when nothing was signalled. */
  drain(): number {
    const result = library().sp_event_drain(this.fd.raw());
    if (result >= 0) return result;
    if (result === -Errno.EAGAIN || result === -Errno.EINTR) return 0;
    throw new OsError("read", "an event", -result);
  }

  [Symbol.dispose](): void {
    closeOwned(this.fd);
  }
}
