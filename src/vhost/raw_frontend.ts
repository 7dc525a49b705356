/** For tests: a frontend that says what it is told to, byte by byte. */

import { type Fd, type Owned, receiveMessage, sendMessage, setNonBlocking } from "../os/mod.ts";
import { messageBytes } from "./message_bytes.ts";
import { Header, U64 } from "./payloads.ts";
import { HeaderFlags } from "./protocol.ts";

/** A reply as it came. The taker owns the descriptors. */
export interface RawReply {
  readonly request: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly fds: Owned<Fd>[];
}

/** One end of a socket pair, and who answers at the other: a backend in the same thread. */
export class RawFrontend implements Disposable {
  constructor(readonly fd: Owned<Fd>, private readonly turn: () => boolean) {
    setNonBlocking(fd, true);
  }

  /** Sends a message and lets the backend see it. False when the backend ended the connection. */
  send(
    request: number,
    payload: Uint8Array = new Uint8Array(0),
    fds: Fd[] = [],
    flags = 0,
  ): boolean {
    return this.sendBytes(messageBytes(request, flags, payload), fds);
  }

  sendBytes(bytes: Uint8Array, fds: Fd[] = []): boolean {
    sendMessage(this.fd, bytes, fds);
    return this.turn();
  }

  /** The next reply; undefined when there is none. */
  reply(): RawReply | undefined {
    const head = new Uint8Array(Header.size);
    const { length, fds } = receiveMessage(this.fd, head, 8);
    if (length !== head.length) return undefined;
    const { request, flags, size } = Header.decode(head);
    const payload = new Uint8Array(size);
    if (size > 0) receiveMessage(this.fd, payload, 0);
    return { request, flags, payload, fds };
  }

  /** Asks for a number. */
  ask(request: number): bigint {
    this.send(request);
    return U64.decode(this.reply()?.payload ?? new Uint8Array(0)).value;
  }

  /** Sends a message that wants to be acknowledged. Returns whether it succeeded; undefined without an answer. */
  confirm(request: number, payload?: Uint8Array, fds?: Fd[]): boolean | undefined {
    this.send(request, payload, fds, HeaderFlags.NeedReply);
    const reply = this.reply();
    return reply === undefined ? undefined : U64.decode(reply.payload).value === 0n;
  }

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }
}
