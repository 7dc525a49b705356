import {
  Errno,
  Events,
  type Fd,
  type IoVector,
  isRead,
  type Owned,
  receiveVector,
  sendVector,
  type Window,
} from "../../os/mod.ts";
import { WL_MAX_DESCRIPTORS, WlFlag } from "../../virtio/mod.ts";
import type { Arrival } from "./arrival.ts";
import type { Charge } from "./charge.ts";
import { Endpoint, type Exchange } from "./endpoint.ts";
import type { InQueue } from "./in_queue.ts";
import type { Send } from "./send.ts";

/** While so many are not known to have been read, it is worth asking. */
const MANY_UNREAD = 64;

/** What a context needs beside other endpoints. */
export interface ContextExchange extends Exchange {
  readonly window: Window;
  /** Makes VFDs of descriptors that came with some bytes, and says why when it cannot. They are its from here on. */
  readonly adopt: (fds: Owned<Fd>[], data: Uint8Array) => Arrival | string;
  readonly log: (text: string) => void;
}

/** A stream socket of the host. */
export class ContextVfd extends Endpoint {
  protected readonly wanted = Events.In;
  declare protected readonly exchange: ContextExchange;
  readonly #fds: Owned<Fd>[] = [];
  /**
   * Of what was sent. As long as the peer has not read it, it is in the kernel, however soon the guest closes its part:
   * so it counts for the guest.
   */
  readonly #unread = new Set<Charge>();

  /** @param fd moves in here */
  constructor(id: number, charge: Charge, fd: Owned<Fd>, exchange: ContextExchange) {
    super(id, charge, fd, exchange);
  }

  flags(transFlags: boolean): number {
    return transFlags ? WlFlag.Write | WlFlag.Read : WlFlag.Control;
  }

  /** Lets go of what the peer has taken. */
  forgetRead(): void {
    if (this.#unread.size > 0 && (this.fd.closed || isRead(this.fd))) this.#forget();
  }

  protected receive(queue: InQueue, most: number): number {
    const { vector, log } = this.exchange;
    const fds = this.#fds;
    queue.gather(vector, most);
    const bytes = receiveVector(this.fd, vector, fds, WL_MAX_DESCRIPTORS);
    if (bytes > 0 && fds.length === 0) {
      queue.received(this, bytes);
      return bytes;
    }
    const data = bytes > 0 ? this.#copy(bytes) : undefined;
    queue.putBack();
    if (data !== undefined) {
      const arrival = this.exchange.adopt(fds.splice(0), data);
      if (typeof arrival !== "string") {
        this.arrived(arrival);
        return bytes;
      }
      log(`${this.#name} is hung up: ${arrival}`);
      this.abandon();
      return 0;
    }
    if (bytes === -Errno.EMSGSIZE) {
      for (const fd of fds.splice(0)) fd[Symbol.dispose]();
      log(`${this.#name} is hung up: more descriptors came than there is room for`);
      this.abandon();
    }
    return bytes;
  }

  protected write(vector: IoVector, fds: readonly Fd[]): number {
    for (let i = 0; i < fds.length; i++) if (fds[i].closed) return -Errno.EBADF;
    return sendVector(this.fd, vector, fds);
  }

  protected override finished(send: Send, isSent: boolean): void {
    if (isSent) {
      for (const { charge } of send.vfds) {
        if (this.#unread.has(charge)) continue;
        charge.hold();
        this.#unread.add(charge);
      }
      if (this.#unread.size >= MANY_UNREAD) this.forgetRead();
    }
    super.finished(send, isSent);
  }

  protected override dispose(): void {
    super.dispose();
    this.#forget();
  }

  get #name(): string {
    return `context 0x${this.id.toString(16)}`;
  }

  /** What was received into the vector. */
  #copy(bytes: number): Uint8Array {
    const { vector, window } = this.exchange;
    const copy = new Uint8Array(bytes);
    for (let i = 0, at = 0; at < bytes; i++) {
      const length = Math.min(vector.lengthAt(i), bytes - at);
      copy.set(window.bytes(vector.offsetAt(i), length), at);
      at += length;
    }
    return copy;
  }

  #forget(): void {
    for (const charge of this.#unread) charge.release();
    this.#unread.clear();
  }
}
