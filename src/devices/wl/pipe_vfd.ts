import {
  Errno,
  Events,
  type Fd,
  type IoVector,
  type Owned,
  readvNow,
  writevNow,
} from "../../os/mod.ts";
import { WlFlag, WlResponse } from "../../virtio/mod.ts";
import type { Charge } from "./charge.ts";
import { Endpoint, type Exchange } from "./endpoint.ts";
import type { InQueue } from "./in_queue.ts";
import type { Send } from "./send.ts";

/** One end of a pipe; of a pipe that the guest made also the other one, until somebody gets it. */
export class PipeVfd extends Endpoint {
  protected readonly wanted: number;
  readonly #reads: boolean;
  readonly #isGuests: boolean;
  #other: Owned<Fd> | undefined;
  #isLent = false;

  /** @param reads the guest reads from it. The descriptors move in here */
  constructor(
    id: number,
    charge: Charge,
    fd: Owned<Fd>,
    reads: boolean,
    exchange: Exchange,
    other?: Owned<Fd>,
  ) {
    super(id, charge, fd, exchange);
    this.#reads = reads;
    this.wanted = reads ? Events.In : 0;
    this.#other = other?.move();
    this.#isGuests = other !== undefined;
  }

  flags(): number {
    return this.#reads ? WlFlag.Read : WlFlag.Write;
  }

  /** The one end of a guest's pipe is the guest's, the other goes to one host process. */
  override get sendable(): Fd | undefined {
    if (!this.#isGuests) return super.sendable;
    return this.#isLent ? undefined : this.#other;
  }

  override lend(): Fd | undefined {
    const fd = super.lend();
    this.#isLent = fd !== undefined || this.#isLent;
    return fd;
  }

  override lent(isSent: boolean): void {
    this.#isLent = false;
    if (isSent) this.#closeOther();
    super.lent(isSent);
  }

  override send(send: Send): number | undefined {
    return this.#reads || send.vfds.length > 0 ? WlResponse.InvalidType : super.send(send);
  }

  protected receive(queue: InQueue, most: number): number {
    let bytes = 0;
    if (this.#reads) {
      const { vector } = this.exchange;
      queue.gather(vector, most);
      bytes = readvNow(this.fd, vector);
    }
    if (bytes > 0) queue.received(this, bytes);
    else queue.putBack();
    return bytes;
  }

  protected write(vector: IoVector): number {
    const written = writevNow(this.fd, vector);
    return written === 0 ? -Errno.EIO : written;
  }

  protected override dispose(): void {
    super.dispose();
    this.#closeOther();
  }

  #closeOther(): void {
    this.#other?.[Symbol.dispose]();
    this.#other = undefined;
  }
}
