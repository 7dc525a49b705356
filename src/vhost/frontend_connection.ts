import { type NoChunk, type Transport, unixTransport } from "../msg/mod.ts";
import { Events, type Fd, type Owned, type Reactor } from "../os/mod.ts";
import { BackendAway, BackendDisconnected } from "./backend_errors.ts";
import { messageBytes } from "./message_bytes.ts";
import { type IncomingHeader, type IncomingMessage, MessageReader } from "./message_reader.ts";
import { HeaderFlags } from "./protocol.ts";
import { ProtocolError, type Violation } from "./protocol_error.ts";

/** What a reply must look like. */
export interface ReplyShape {
  /** The payload sizes in bytes that are right. */
  readonly sizes: readonly number[];
  /** How many descriptors come with it. */
  readonly fds?: number;
}

/** A reply of the right shape. The taker owns the descriptors. */
export type Reply = Pick<IncomingMessage, "payload" | "fds">;

/** A message on its way and, with a shape, the reply that is due. */
interface Pending {
  readonly request: number;
  readonly shape: ReplyShape | undefined;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
  timer: ReturnType<typeof setTimeout> | undefined;
  sent: boolean;
}

interface Unsent {
  readonly pending: Pending;
  readonly bytes: Uint8Array;
  at: number;
  /** Our own duplicates, until the first byte is out. */
  fds: Owned<Fd>[];
}

export interface FrontendConnectionOptions {
  /** Name of the device, for errors. */
  readonly name: string;
  /** How long the backend has for each answer, and for taking each message. */
  readonly replyTimeoutMs: number;
  /** The backend waits for an answer of ours, and cannot be asked meanwhile: that does not count as its silence. */
  readonly waitsForUs?: () => boolean;
  /** Called once when the connection breaks, not when it is disposed. */
  readonly onBroken: (error: Error) => void;
}

/** How often we believe that it is we who keep a backend from answering. */
const MAX_EXTENSIONS = 4;

/**
 * The frontend's end of a vhost-user connection: messages go out in order, replies come in the same
 * order and are checked against what was asked. Several may be under way. Any lie, end or silence of
 * the backend breaks it for good: the socket is closed and everything under way fails with the
 * same error ({@link ProtocolError}, {@link BackendDisconnected}, {@link BackendAway}).
 */
export class FrontendConnection implements Disposable {
  readonly #transport: Transport;
  readonly #reader: MessageReader;
  readonly #unwatch: () => void;
  readonly #unsent: Unsent[] = [];
  readonly #awaited: Pending[] = [];
  /** How long the backend has for each answer from here on, in ms. */
  replyTimeoutMs: number;
  #watching: number = Events.In;
  #error: Error | undefined;

  /** @param fd moves in here */
  constructor(
    fd: Owned<Fd>,
    private readonly reactor: Reactor,
    private readonly options: FrontendConnectionOptions,
  ) {
    this.replyTimeoutMs = options.replyTimeoutMs;
    this.#transport = unixTransport(fd);
    this.#reader = new MessageReader(
      this.#transport,
      (request, violation, detail) => this.breach(request, violation, detail),
      (header) => this.#checkHeader(header),
    );
    this.#unwatch = reactor.add(this.#transport.fd, (events) => this.#ready(events));
  }

  /** Why the connection is of no more use, if it is not. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** Sends a message that has no reply. Settles when the backend's socket has taken it. */
  async tell(request: number, payload: Uint8Array, fds: readonly Fd[] = []): Promise<void> {
    await this.#send(request, 0, payload, fds, undefined);
  }

  /**
   * Sends a message and waits for its reply.
   *
   * @param flags {@link HeaderFlags.NeedReply} for one that has no reply of its own
   */
  ask(
    request: number,
    payload: Uint8Array,
    shape: ReplyShape,
    fds: readonly Fd[] = [],
    flags = 0,
  ): Promise<Reply> {
    return this.#send(request, flags, payload, fds, shape);
  }

  /** Makes the error for a message of this backend's that is wrong; {@link FrontendConnection.break} with it ends the connection. */
  breach(request: number | undefined, violation: Violation, detail: string): ProtocolError {
    const { name } = this.options;
    return new ProtocolError("backend", request, violation, detail, "frontend", name);
  }

  /** Ends the connection because of an error: everything under way fails with it. */
  break(error: Error): void {
    if (this.#end(error)) this.options.onBroken(error);
  }

  #send(
    request: number,
    flags: number,
    payload: Uint8Array,
    fds: readonly Fd[],
    shape: ReplyShape | undefined,
  ): Promise<Reply> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    return new Promise((resolve, reject) => {
      const duplicates: Owned<Fd>[] = [];
      try {
        // The message may have to wait, and the caller may close its descriptors meanwhile.
        for (const fd of fds) duplicates.push(fd.dup());
      } catch (error) {
        for (const fd of duplicates) fd[Symbol.dispose]();
        throw error;
      }
      const pending: Pending = { request, shape, resolve, reject, timer: undefined, sent: false };
      this.#await(pending, this.replyTimeoutMs);
      if (shape !== undefined) this.#awaited.push(pending);
      const bytes = messageBytes(request, flags, payload);
      this.#unsent.push({ pending, bytes, at: 0, fds: duplicates });
      if (this.#unsent.length === 1) this.#flush();
    });
  }

  #await(pending: Pending, milliseconds: number, extensions = MAX_EXTENSIONS): void {
    pending.timer = setTimeout(() => {
      if (extensions > 0 && this.options.waitsForUs?.() === true) {
        return this.#await(pending, milliseconds, extensions - 1);
      }
      this.break(new BackendAway(this.options.name, pending.request, milliseconds));
    }, milliseconds);
  }

  #flush(): void {
    let sent: number | NoChunk = 0;
    while (this.#unsent.length > 0) {
      const message = this.#unsent[0];
      try {
        sent = this.#transport.send(message.bytes.subarray(message.at), message.fds);
      } catch (error) {
        this.break(error as Error);
        return;
      }
      if (typeof sent !== "number") break;
      message.at += sent;
      closeAll(message.fds);
      if (message.at < message.bytes.length) continue;
      this.#unsent.shift();
      message.pending.sent = true;
      if (message.pending.shape === undefined) this.#settle(message.pending, noReply);
    }
    if (sent === "closed") this.#disconnected();
    else this.#watchFor(this.#unsent.length > 0 ? Events.In | Events.Out : Events.In);
  }

  #watchFor(events: number): void {
    if (events === this.#watching) return;
    this.#watching = events;
    this.reactor.change(this.#transport.fd, events);
  }

  #settle(pending: Pending, reply: Reply): void {
    clearTimeout(pending.timer);
    pending.resolve(reply);
  }

  #ready(events: number): void {
    if ((events & Events.Out) !== 0 && this.#unsent.length > 0) this.#flush();
    // Error and hang-up too: what came before them is still read, and then the end.
    if (this.#error === undefined && (events & ~Events.Out) !== 0) this.#receive();
  }

  #receive(): void {
    try {
      while (this.#error === undefined) {
        const message = this.#reader.read();
        if (message === "closed") return this.#disconnected();
        if (message === "later") {
          if (this.#reader.midMessage && !this.#awaited[0]?.sent) {
            throw this.#unsolicited(undefined);
          }
          return;
        }
        this.#reply(message);
      }
    } catch (error) {
      this.break(error as Error);
    }
  }

  #checkHeader(header: IncomingHeader): void {
    const { request, flags, size } = header;
    const awaited = this.#awaited[0];
    if (!awaited?.sent || awaited.shape === undefined) throw this.#unsolicited(request);
    if (request !== awaited.request) {
      throw this.breach(
        awaited.request,
        "wrong-message",
        `it was answered with message number ${request}`,
      );
    }
    if ((flags & HeaderFlags.Reply) === 0) {
      throw this.breach(request, "reply-flag", "the answer is not marked as a reply");
    }
    if (!awaited.shape.sizes.includes(size)) {
      const wanted = awaited.shape.sizes.join(" or ");
      throw this.breach(request, "wrong-size", `the answer has ${size} bytes and not ${wanted}`);
    }
  }

  #reply(message: IncomingMessage): void {
    const awaited = this.#awaited[0];
    const wanted = awaited.shape?.fds ?? 0;
    if (message.fds.length !== wanted) {
      closeAll(message.fds);
      const detail = `${message.fds.length} descriptors came with the answer and not ${wanted}`;
      throw this.breach(message.request, "descriptors", detail);
    }
    this.#awaited.shift();
    this.#settle(awaited, message);
  }

  #unsolicited(request: number | undefined): ProtocolError {
    return this.breach(request, "unsolicited", "it sent what nobody asked for");
  }

  #disconnected(): void {
    const request = (this.#awaited[0] ?? this.#unsent[0]?.pending)?.request;
    this.break(new BackendDisconnected(this.options.name, request, this.#reader.midMessage));
  }

  #end(error: Error): boolean {
    if (this.#error !== undefined) return false;
    this.#error = error;
    this.#unwatch();
    this.#reader[Symbol.dispose]();
    this.#transport[Symbol.dispose]();
    const left = new Set([...this.#awaited, ...this.#unsent.map((message) => message.pending)]);
    for (const message of this.#unsent) closeAll(message.fds);
    this.#unsent.length = 0;
    this.#awaited.length = 0;
    for (const pending of left) {
      clearTimeout(pending.timer);
      pending.reject(error);
    }
    return true;
  }

  /** Closes the socket; what is under way fails. */
  [Symbol.dispose](): void {
    this.#end(new Error(`The connection to the backend of ${this.options.name} was closed`));
  }
}

const noReply: Reply = { payload: new Uint8Array(0), fds: [] };

function closeAll(fds: Owned<Fd>[]): void {
  for (const fd of fds) fd[Symbol.dispose]();
  fds.length = 0;
}
