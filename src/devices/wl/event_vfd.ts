import { Errno, Events, type Fd, readvNow, writevNow } from "../../os/mod.ts";
import { WlFlag, WlResponse } from "../../virtio/mod.ts";
import { Endpoint } from "./endpoint.ts";
import type { InQueue } from "./in_queue.ts";
import type { Send } from "./send.ts";

/** What is read from an event, and written to it. */
export const EVENT_BYTES = 8;

/** An eventfd. Its counter is left to its other users until the guest wants to read it. */
export class EventVfd extends Endpoint {
  protected readonly wanted = Events.In;
  protected override readonly leastCredit = EVENT_BYTES;
  /** The slots by which it crosses without us. */
  readonly bells: { read?: number; write?: number } = {};
  #isArmed = false;
  /** Somebody else reads the counter. */
  #isLeft = false;

  flags(): number {
    return WlFlag.Write | WlFlag.Read | WlFlag.Event;
  }

  /** Nothing is read before the guest says so. */
  override watch(): void {}

  arm(): void {
    this.#isArmed = true;
    if (!this.#isLeft) super.watch();
  }

  /** Leaves the counter to somebody else from here on. */
  leave(): void {
    this.#isLeft = true;
    this.ignore();
  }

  /** Nobody else reads it after all. */
  comeBack(): void {
    this.#isLeft = false;
    if (this.#isArmed) super.watch();
  }

  /** The eventfd itself, which stays here; undefined when it was hung up. */
  get eventFd(): Fd | undefined {
    return this.sendable;
  }

  /** Adds to the counter. One that is full is an error: who rings does not wait. */
  override send(send: Send): number {
    const { vector } = this.exchange;
    if (send.vfds.length > 0) return WlResponse.InvalidType;
    if (send.end - send.at !== EVENT_BYTES || this.fd.closed) return WlResponse.Error;
    send.gather(vector);
    return writevNow(this.fd, vector) === EVENT_BYTES ? WlResponse.Ok : WlResponse.Error;
  }

  protected receive(queue: InQueue, _most: number): number {
    const { vector } = this.exchange;
    queue.gather(vector, EVENT_BYTES);
    const bytes = readvNow(this.fd, vector);
    if (bytes > 0) queue.received(this, bytes);
    else queue.putBack();
    return bytes === 0 ? -Errno.EAGAIN : bytes;
  }

  protected write(): number {
    return -Errno.EIO;
  }
}
