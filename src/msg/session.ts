import { closeOwned, Fd, OsError, type Owned } from "../os/mod.ts";
import { decodeValue, encodeValue } from "./cbor.ts";
import type { SentFd } from "./descriptor.ts";
import { decodeEnvelope, type Envelope, Kind } from "./envelope.ts";
import { DEFAULT_LIMIT } from "./frame.ts";
import { FrameReader } from "./frame_reader.ts";
import { FrameWriter } from "./frame_writer.ts";
import { DisconnectedError, PeerError, RequestError, SendError } from "./message_errors.ts";
import {
  checkReceived,
  checkSent,
  type Messages,
  type NoteName,
  type ReceivedBody,
  type SentAnswer,
  type SentBody,
} from "./protocol.ts";
import { Received } from "./received.ts";
import type { Transport } from "./transport.ts";

/** What a handler gets beside the message. */
export interface RequestContext {
  /** Aborted when the requester does not want the answer any more, or is gone. */
  readonly signal: AbortSignal;
}

/** What serves a message. Descriptors of its body are closed when it has returned, or its promise is settled, unless moved. */
export type Handler<M extends Messages, K extends keyof M> = (
  body: ReceivedBody<M, K>,
  context: RequestContext,
) => SentAnswer<M, K> | Promise<SentAnswer<M, K>>;

/** What serves the messages of one end: all of them. */
export type Handlers<M extends Messages> = { readonly [K in keyof M]: Handler<M, K> };

/** The two ends of a conversation, as one of them sees it. */
export interface SessionOptions<Calls extends Messages, Serves extends Messages> {
  /** What the peer serves. */
  readonly calls: Calls;
  /** What this end serves. */
  readonly serves: Serves;
  readonly handlers: Handlers<Serves>;
  /** The longest message in either direction, in bytes; 16 MiB when it is not said. */
  readonly limit?: number;
  /** Called with an exception of a handler that no peer is told; an uncaught error otherwise. */
  readonly onFault?: (error: unknown) => void;
  /** Called with the reason when the conversation is over, unless this end closed it. */
  readonly onEnd?: (error: DisconnectedError | PeerError) => void;
}

/** What waits for an answer. */
export interface Pending {
  readonly name: string;
  resolve(answer: Received<unknown>): void;
  reject(error: Error): void;
}

/** A peer may have so many requests in hand at once. */
const MOST_SERVED = 1024;
/** A peer that lets so many bytes lie is not sent any more; the longest message fits in any case. */
const MOST_WAITING = 2 ** 20;
/** Nor is it read while so many of its answers lie. */
const HIGH_WATER = 2 ** 18;

/**
 * A conversation of typed messages over a transport, for whatever waits: {@link BlockingPeer} and {@link AsyncPeer} are
 * the two ways to wait. It never blocks.
 */
export class Session<Calls extends Messages, Serves extends Messages> implements Disposable {
  readonly #transport: Transport;
  readonly #options: SessionOptions<Calls, Serves>;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  readonly #limit: number;
  readonly #pending = new Map<number, Pending>();
  /** Requests that nobody waits for any more, whose answers are still to come. */
  readonly #abandoned = new Set<number>();
  readonly #served = new Map<number, ServedRequest>();
  #lastId = 0;
  #end: Error | undefined;

  /** @param transport moves in here */
  constructor(transport: Transport, options: SessionOptions<Calls, Serves>) {
    this.#transport = transport;
    this.#options = options;
    this.#limit = options.limit ?? DEFAULT_LIMIT;
    this.#reader = new FrameReader(transport, this.#limit);
    this.#writer = new FrameWriter(transport, this.#limit);
  }

  /** For whatever waits; stays here. */
  get fd(): Fd {
    return this.#transport.fd;
  }

  /** Why the conversation is over; undefined while it goes on. */
  get ended(): Error | undefined {
    return this.#end;
  }

  /** Something waits for room in the stream: call {@link flush} when it is writable. */
  get wantsToWrite(): boolean {
    return this.#writer.waitingBytes > 0;
  }

  /** The peer does not read its answers: its requests are not read either. */
  get isCongested(): boolean {
    return this.#writer.waitingBytes > HIGH_WATER;
  }

  /** Sends a message that is not answered. @throws SendError before a byte has left */
  note<K extends NoteName<Calls>>(name: K, body: SentBody<Calls, K>): void {
    const { body: schema } = this.#options.calls[name];
    this.#send([Kind.Note, name, checkOutgoing(schema, body, name)]);
  }

  /** Sends a request. @returns its id, for {@link cancel} @throws SendError before a byte has left */
  request(name: keyof Calls & string, body: unknown, pending: Omit<Pending, "name">): number {
    const { body: schema } = this.#options.calls[name];
    const checked = checkOutgoing(schema, body, name);
    const id = this.#lastId = (this.#lastId + 1) >>> 0;
    this.#send([Kind.Request, id, name, checked]);
    this.#pending.set(id, { name, ...pending });
    return id;
  }

  /** Tells the peer that an answer is not wanted any more, and those who wait for it. */
  cancel(id: number, error: RequestError): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    this.#abandoned.add(id);
    try {
      this.#send([Kind.Cancel, id]);
    } catch (failure) {
      // A peer that takes nothing will notice when we close.
      if (!(failure instanceof SendError)) throw failure;
    }
    pending.reject(error);
  }

  /**
   * Deals with messages that are here, as long as the peer reads its answers.
   *
   * @param most so many frames at most
   * @returns whether there may be more that nobody will call for again
   */
  receive(most = Infinity): boolean {
    try {
      for (let i = 0; i < most && this.#end === undefined && !this.isCongested; i++) {
        const frame = this.#reader.read();
        if (frame === "later") return false;
        if (frame === "closed") {
          const where = this.#reader.midFrame ? " in the middle of a message" : "";
          this.#finish(new DisconnectedError(`The peer has closed its message socket${where}`));
          return false;
        }
        this.#dispatch(frame.payload, frame.fds);
      }
      return this.#end === undefined;
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#finish(error);
      return false;
    }
  }

  /** Sends on what waits. */
  flush(): void {
    try {
      this.#writer.flush();
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#finish(new DisconnectedError(error.message));
    }
    if (this.#writer.closed && this.#end === undefined) this.#finish(new DisconnectedError());
  }

  /** The peer is gone, and what it sent last will not be looked at. */
  abandon(): void {
    this.#finish(new DisconnectedError());
  }

  #send(envelope: readonly unknown[]): void {
    const { payload, fds } = encodeValue(envelope);
    const waiting = this.#writer.waitingBytes;
    if (waiting > 0 && waiting + payload.length > Math.max(MOST_WAITING, this.#limit)) {
      closeAll(fds.filter((fd) => "move" in fd));
      throw new SendError("not-read", `Cannot send: the peer has left ${waiting} bytes unread`);
    }
    this.#writer.send(payload, fds);
  }

  #dispatch(payload: Uint8Array, fds: Owned<Fd>[]): void {
    let envelope: Envelope;
    try {
      envelope = decodeEnvelope(decodeValue(payload, fds));
      this.#deliver(envelope, fds);
    } catch (error) {
      closeAll(fds);
      throw error;
    }
  }

  /** Takes over the descriptors, or throws. */
  #deliver(envelope: Envelope, fds: Owned<Fd>[]): void {
    switch (envelope.kind) {
      case Kind.Note:
      case Kind.Request:
        return this.#serve(envelope, fds);
      case Kind.Answer:
      case Kind.Error:
        return this.#settle(envelope, fds);
      case Kind.Cancel:
        // It may have been answered meanwhile.
        this.#served.get(envelope.id)?.abort();
    }
  }

  #serve(
    envelope: Extract<Envelope, { kind: typeof Kind.Note | typeof Kind.Request }>,
    fds: Owned<Fd>[],
  ): void {
    const { name } = envelope;
    const id = envelope.kind === Kind.Request ? envelope.id : undefined;
    const { serves, handlers } = this.#options;
    if (!Object.hasOwn(serves, name)) {
      throw new PeerError("schema", `there is no message "${name.slice(0, 40)}" here`);
    }
    const type = serves[name];
    if ((type.answer === undefined) !== (id === undefined)) {
      const how = id === undefined ? "without id" : "with an id";
      throw new PeerError("sequence", `the message ${name} came ${how}`);
    }
    if (id !== undefined && (this.#served.has(id) || this.#served.size >= MOST_SERVED)) {
      throw new PeerError("sequence", `request ${id} is in use, or there are too many at once`);
    }
    const body = checkReceived(type.body, envelope.body, `the message ${name}`);
    const message = new Received(body, fds);
    const request = new ServedRequest();
    if (id !== undefined) this.#served.set(id, request);
    let result: unknown;
    try {
      result = (handlers[name] as (body: unknown, context: RequestContext) => unknown)(
        body,
        request,
      );
    } catch (error) {
      message[Symbol.dispose]();
      return this.#fail(id, name, error);
    }
    if (!(result instanceof Promise)) {
      this.#answer(id, name, result);
      message[Symbol.dispose]();
      return;
    }
    result.then(
      (answer) => this.#answer(id, name, answer),
      (error) => this.#fail(id, name, error),
    ).finally(() => message[Symbol.dispose]());
  }

  #answer(id: number | undefined, name: string, answer: unknown): void {
    if (id === undefined) return;
    const { answer: schema } = this.#options.serves[name];
    if (schema === undefined) return;
    try {
      const checked = checkOutgoing(schema, answer, `the answer to ${name}`);
      if (this.#end !== undefined) return closeGiven(answer);
      this.#send([Kind.Answer, id, checked]);
      this.#served.delete(id);
    } catch (error) {
      this.#fail(id, name, error);
    }
  }

  #fail(id: number | undefined, name: string, error: unknown): void {
    const declared = this.#options.serves[name].errors;
    const known = error instanceof RequestError &&
      (error.code === "cancelled" || declared !== undefined && Object.hasOwn(declared, error.code));
    const isTheirs = error instanceof SendError &&
      (error.reason === "closed" || error.reason === "not-read");
    if (!known && !isTheirs) (this.#options.onFault ?? reportError)(error);
    if (id === undefined || !this.#served.delete(id) || this.#end !== undefined) return;
    const [code, text] = known
      ? [error.code, error.message]
      : ["internal", `${name} failed at the other end`];
    try {
      this.#send([Kind.Error, id, code, text.slice(0, 4096)]);
    } catch (failure) {
      if (!(failure instanceof SendError)) throw failure;
      // It asks and does not listen.
      this.#finish(new PeerError("sequence", "it does not read its answers"));
    }
  }

  #settle(
    envelope: Extract<Envelope, { kind: typeof Kind.Answer | typeof Kind.Error }>,
    fds: Owned<Fd>[],
  ): void {
    const { id } = envelope;
    if (this.#abandoned.delete(id)) return closeAll(fds);
    const pending = this.#pending.get(id);
    if (pending === undefined) throw new PeerError("sequence", `an answer to no request (${id})`);
    const { answer, errors } = this.#options.calls[pending.name];
    if (envelope.kind === Kind.Error) {
      const { code, text } = envelope;
      const known = code === "internal" || code === "cancelled" ||
        errors !== undefined && Object.hasOwn(errors, code);
      if (!known) throw new PeerError("schema", `${pending.name} has no error "${code}"`);
      this.#pending.delete(id);
      return pending.reject(new RequestError(code, text));
    }
    if (answer === undefined) throw new PeerError("sequence", `${pending.name} is not answered`);
    const body = checkReceived(answer, envelope.body, `the answer to ${pending.name}`);
    this.#pending.delete(id);
    pending.resolve(new Received(body, fds));
  }

  /** The conversation is over, through no doing of ours. */
  #finish(error: DisconnectedError | PeerError): void {
    if (this.#end !== undefined) return;
    this.#close(error);
    this.#options.onEnd?.(error);
  }

  #close(error: Error): void {
    this.#end = error;
    this.#reader[Symbol.dispose]();
    this.#writer[Symbol.dispose]();
    this.#transport[Symbol.dispose]();
    for (const request of this.#served.values()) request.abort();
    this.#served.clear();
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of waiting) reject(error);
  }

  /** Closes the socket: what waits for answers is told so, and so is the peer. */
  [Symbol.dispose](): void {
    if (this.#end !== undefined) return;
    this.#close(new DisconnectedError("The message socket was closed"));
  }
}

/** A request of the peer that is being served. */
class ServedRequest implements RequestContext {
  #controller: AbortController | undefined;
  #aborted = false;

  /** Made when it is asked for: most handlers do not. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted) this.#controller.abort();
    return this.#controller.signal;
  }

  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
  }
}

/** As checkSent; what was given away is closed when it is refused. */
function checkOutgoing(
  schema: Parameters<typeof checkSent>[0],
  value: unknown,
  what: string,
): unknown {
  try {
    return checkSent(schema, value, what);
  } catch (error) {
    closeGiven(value);
    throw error;
  }
}

/** Closes what was given away with a value that is not sent. */
function closeGiven(value: unknown): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
  if (Fd.is(value)) return closeOwned(value as SentFd);
  for (const part of Object.values(value)) closeGiven(part);
}

function closeAll(fds: readonly Disposable[]): void {
  for (const fd of fds) fd[Symbol.dispose]();
}
