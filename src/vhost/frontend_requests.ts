import {
  Errno,
  type Fd,
  type Owned,
  type Reactor,
  sendMessage,
  setNonBlocking,
  socketPair,
} from "../os/mod.ts";
import { messageBytes } from "./message_bytes.ts";
import { type IncomingHeader, type IncomingMessage, MessageReader } from "./message_reader.ts";
import { U64 } from "./payloads.ts";
import { BackendMessage, HeaderFlags } from "./protocol.ts";
import { ProtocolError, type Violation } from "./protocol_error.ts";

/** So many messages are taken before others have their turn: a backend may send without end. */
const MESSAGES_PER_TURN = 16;

export interface FrontendRequestsOptions {
  /** Name of the device, for errors. */
  readonly name: string;
  /** REPLY_ACK is negotiated: the backend may want to know how it went. */
  readonly replyAck: boolean;
  /** The backend's config space has changed. */
  readonly onConfigChange: () => void;
  /** The backend broke the protocol here. Called once. */
  readonly onBroken: (error: Error) => void;
}

/**
 * The way on which a backend asks its frontend for something ("Back-end communication"). Of what
 * there is to ask, only a changed config space is negotiated; everything else breaks the protocol.
 * No request is answered late: a backend that waits for us can still be asked by us.
 */
export class FrontendRequests implements Disposable {
  readonly #own: Owned<Fd>;
  readonly #reader: MessageReader;
  readonly #unwatch: () => void;
  /** The backend's end, to be handed over with SetBackendReqFd and then disposed. */
  readonly peer: Owned<Fd>;
  #closed = false;

  constructor(reactor: Reactor, private readonly options: FrontendRequestsOptions) {
    [this.#own, this.peer] = socketPair();
    setNonBlocking(this.#own, true);
    this.#reader = new MessageReader(
      this.#own,
      (request, violation, detail) => this.#broke(request, violation, detail),
      (header) => this.#checkHeader(header),
    );
    this.#unwatch = reactor.add(this.#own, () => this.#receive());
  }

  #receive(): void {
    try {
      for (let i = 0; i < MESSAGES_PER_TURN && !this.#closed; i++) {
        const message = this.#reader.read();
        // A backend may give this way up and go on.
        if (message === "closed") return this[Symbol.dispose]();
        if (message === "later") return;
        this.#serve(message);
      }
    } catch (error) {
      this[Symbol.dispose]();
      this.options.onBroken(error as Error);
    }
  }

  #checkHeader({ request, flags, size }: IncomingHeader): void {
    if ((flags & HeaderFlags.Reply) !== 0) {
      throw this.#broke(request, "reply-flag", "a reply came where only requests are due");
    }
    if (request !== BackendMessage.ConfigChange) {
      throw this.#broke(request, "unexpected", "this request was not negotiated");
    }
    if (size !== 0) {
      throw this.#broke(request, "wrong-size", `the request has ${size} bytes and not 0`);
    }
  }

  #serve({ request, flags, fds }: IncomingMessage): void {
    if (fds.length > 0) {
      for (const fd of fds) fd[Symbol.dispose]();
      throw this.#broke(request, "descriptors", `${fds.length} came with the request and not 0`);
    }
    if (this.options.replyAck && (flags & HeaderFlags.NeedReply) !== 0) {
      const reply = messageBytes(request, HeaderFlags.Reply, U64.encode({ value: 0n }));
      const sent = sendMessage(this.#own, reply);
      // Gone: the end of this way is read next.
      if (sent >= 0 && sent < reply.length || sent === -Errno.EAGAIN) {
        throw this.#broke(request, "unexpected", "it asks on and on without taking the answers");
      }
    }
    this.options.onConfigChange();
  }

  #broke(request: number | undefined, violation: Violation, detail: string): ProtocolError {
    return new ProtocolError("backend", request, violation, detail, "backend", this.options.name);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    this.#reader[Symbol.dispose]();
    this.#own[Symbol.dispose]();
    this.peer[Symbol.dispose]();
  }
}
