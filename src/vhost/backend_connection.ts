import type { Transport } from "../msg/mod.ts";
import { Events, type Fd, OsError, type Owned, pollOne } from "../os/mod.ts";
import { messageShapes } from "./backend_messages.ts";
import { BackendRefusal } from "./backend_refusal.ts";
import { messageBytes } from "./message_bytes.ts";
import { type IncomingHeader, type IncomingMessage, MessageReader } from "./message_reader.ts";
import { U64 } from "./payloads.ts";
import { frontendMessageName, HeaderFlags } from "./protocol.ts";
import { ProtocolError, type Violation } from "./protocol_error.ts";

/** The answer to a message that has one of its own. The descriptors are closed when it is sent. */
export interface BackendAnswer {
  readonly payload: Uint8Array;
  readonly fds?: readonly Owned<Fd>[];
}

/** What the backend does with messages of the right shape. */
export interface BackendHandler {
  /** REPLY_ACK is negotiated. */
  replyAck(): boolean;
  /**
   * @returns the answer, if this message has one of its own
   * @throws BackendRefusal when the request fails; ProtocolError, made by `broke`, ends the connection
   */
  handle(message: IncomingMessage): BackendAnswer | undefined;
}

/** So many messages are taken before the queues have their turn. */
const MESSAGES_PER_TURN = 32;

/** How long a frontend may leave no room for an answer, in milliseconds. */
const ANSWER_PATIENCE_MS = 1000;

/** The backend's end of a vhost-user connection: checks shapes, answers, acknowledges. */
export class BackendConnection implements Disposable {
  readonly #reader: MessageReader;
  readonly #transport: Transport;
  #isBroken = false;

  /** @param transport moves in here */
  constructor(
    transport: Transport,
    private readonly handler: BackendHandler,
    private readonly log: (text: string) => void,
  ) {
    this.#transport = transport;
    this.#reader = new MessageReader(transport, broke, checkHeader);
  }

  /** For a poller; stays here. */
  get fd(): Fd {
    return this.#transport.fd;
  }

  /** It is over because the frontend broke the protocol, rather than left. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Deals with what has come. False when the connection is over: the frontend left, or broke the protocol. */
  receive(): boolean {
    try {
      for (let i = 0; i < MESSAGES_PER_TURN; i++) {
        const message = this.#reader.read();
        if (message === "later") return true;
        if (message === "closed") return false;
        try {
          this.#serve(message);
        } finally {
          for (const fd of message.fds) fd[Symbol.dispose]();
        }
      }
      return true;
    } catch (error) {
      this.#isBroken = true;
      this.log(describe(error));
      return false;
    }
  }

  #serve(message: IncomingMessage): void {
    const { request, fds } = message;
    const shape = messageShapes.get(request);
    // Asked afterwards: the message by which acknowledgements are agreed on may itself want one, as that of Linux does.
    const wantsReply = () =>
      (message.flags & HeaderFlags.NeedReply) !== 0 && this.handler.replyAck();
    if (shape === undefined) {
      if (!wantsReply()) throw broke(request, "unexpected", "this backend does not know it");
      this.#send(request, U64.encode({ value: 1n }));
      return;
    }
    if (fds.length > shape.fds) {
      throw broke(request, "descriptors", `${fds.length} came and not ${shape.fds}`);
    }
    let failed = false;
    try {
      const answer = this.handler.handle(message);
      if (answer !== undefined) {
        this.#send(request, answer.payload, answer.fds);
        return;
      }
    } catch (error) {
      if (!(error instanceof BackendRefusal)) throw error;
      // A frontend that does not ask would go on as if all were well.
      if (!wantsReply()) throw broke(request, "value", error.message);
      this.log(`Cannot do ${frontendMessageName(request)}: ${error.message}`);
      failed = true;
    }
    if (wantsReply()) this.#send(request, U64.encode({ value: failed ? 1n : 0n }));
  }

  #send(request: number, payload: Uint8Array, fds: readonly Owned<Fd>[] = []): void {
    const bytes = messageBytes(request, HeaderFlags.Reply, payload);
    let sent = this.#transport.send(bytes, fds);
    // Over a VM border there is room for a few answers at a time.
    if (sent === "later" && pollOne(this.fd, Events.Out, ANSWER_PATIENCE_MS) !== 0) {
      sent = this.#transport.send(bytes, fds);
    }
    for (const fd of fds) fd[Symbol.dispose]();
    // Its end, if that is why, is read next. Otherwise it asks on and on and never listens.
    if (sent !== bytes.length && sent !== "closed") {
      throw broke(request, "unexpected", "the frontend does not take its answers");
    }
  }

  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]();
    this.#transport[Symbol.dispose]();
  }
}

/** Makes the error for a message that no frontend may send. */
export function broke(
  request: number | undefined,
  violation: Violation,
  detail: string,
): ProtocolError {
  return new ProtocolError("frontend", request, violation, detail);
}

function checkHeader({ request, flags, size }: IncomingHeader): void {
  if ((flags & HeaderFlags.Reply) !== 0) {
    throw broke(request, "reply-flag", "a reply came where only requests are due");
  }
  const shape = messageShapes.get(request);
  if (shape !== undefined && (size < shape.least || size > shape.most)) {
    throw broke(request, "wrong-size", `it has ${size} bytes`);
  }
}

/** A mistake of ours is told with where it was made. */
function describe(error: unknown): string {
  if (error instanceof ProtocolError || error instanceof OsError) return error.message;
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
