import { EventFd, type Fd, type Owned } from "../os/mod.ts";
import type { Virtqueue } from "../virtio/mod.ts";

/** Ring addresses as the frontend gives them: its own user addresses. */
export interface VringAddresses {
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
}

/** One queue of a connection: what the frontend has said about it, and the queue itself while it runs. */
export class Vring implements Disposable {
  /** Descriptors; 0 until it is said. */
  size = 0;
  base = 0;
  addresses: VringAddresses | undefined;
  enabled = false;
  kick: EventFd | undefined;
  /** While it runs. */
  queue: Virtqueue | undefined;
  /** There may be something to do. */
  due = false;
  /** That the driver broke it has been said. */
  faultTold = false;
  #call: EventFd | undefined;
  #err: EventFd | undefined;

  constructor(readonly index: number, private readonly log: (text: string) => void) {}

  /** Everything that it needs to run has been said. */
  get complete(): boolean {
    return this.enabled && this.size > 0 && this.addresses !== undefined && this.kick !== undefined;
  }

  set call(fd: Owned<Fd> | undefined) {
    this.#call = replaced(this.#call, fd);
  }

  set err(fd: Owned<Fd> | undefined) {
    this.#err = replaced(this.#err, fd);
  }

  /** Tells the driver that something is used. */
  readonly signal = (): void => {
    this.#call = this.#signal(this.#call);
  };

  /** Tells the frontend that the queue is broken. */
  signalError(): void {
    this.#err = this.#signal(this.#err);
  }

  setKick(fd: Owned<Fd> | undefined): EventFd | undefined {
    this.kick = replaced(this.kick, fd);
    return this.kick;
  }

  /** A descriptor that takes no signals is given up: the frontend meant something else by it. */
  #signal(event: EventFd | undefined): EventFd | undefined {
    try {
      event?.signal();
      return event;
    } catch (error) {
      this.log(`queue ${this.index}: ${error instanceof Error ? error.message : error}`);
      return replaced(event, undefined);
    }
  }

  /** Back to the beginning, except for whom to tell. The queue must have been stopped. */
  reset(): void {
    this.size = this.base = 0;
    this.addresses = undefined;
    this.enabled = this.due = false;
    this.setKick(undefined);
  }

  [Symbol.dispose](): void {
    this.reset();
    this.call = undefined;
    this.err = undefined;
  }
}

function replaced(old: EventFd | undefined, fd: Owned<Fd> | undefined): EventFd | undefined {
  old?.[Symbol.dispose]();
  return fd === undefined ? undefined : EventFd.adopt(fd);
}
