import type { Fd } from "../../os/mod.ts";
import { WlResponse } from "../../virtio/mod.ts";
import type { Charge } from "./charge.ts";
import type { Send } from "./send.ts";

/**
 * A virtual descriptor: what a guest and the host both have, under a number. It is the guest's until that closes it; who
 * sends it elsewhere holds it until it is there.
 */
export abstract class Vfd {
  /** Where memory is in the shared memory region, in bytes; 0 for what is none. */
  readonly offset: number = 0;
  /** Bytes of memory. */
  readonly size: number = 0;
  #users = 1;

  constructor(readonly id: number, readonly charge: Charge) {}

  /** Of {@link WlFlag}. */
  abstract flags(transFlags: boolean): number;

  /** What a host process gets to which this is sent; undefined when there is nothing to be had any more. */
  protected abstract readonly sendable: Fd | undefined;

  /** Lends what is to be sent. Undefined when there is nothing; else {@linkcode lent} follows. */
  lend(): Fd | undefined {
    const fd = this.sendable;
    if (fd !== undefined) this.hold();
    return fd;
  }

  /** What was lent has been sent, or not. */
  lent(_isSent: boolean): void {
    this.release();
  }

  /** Performs a SEND: the response, or undefined when it comes later. */
  send(_send: Send): number | undefined {
    return WlResponse.InvalidType;
  }

  /** The guest has closed it. */
  close(): void {
    this.release();
  }

  hold(): void {
    this.#users++;
  }

  release(): void {
    if (--this.#users > 0) return;
    this.dispose();
    this.charge.release();
  }

  /** Nobody has it any more. */
  protected abstract dispose(): void;
}
