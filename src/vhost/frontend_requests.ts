import { type Transport, unixTransport } from "../msg/mod.ts";
import { type Fd, type Owned, type Reactor, socketPair } from "../os/mod.ts";
import { messageBytes } from "./message_bytes.ts";
import { type IncomingHeader, type IncomingMessage, MessageReader } from "./message_reader.ts";
import type { SharedMemoryHost } from "./frontend_options.ts";
import { SharedMemoryMapping, U64 } from "./payloads.ts";
import { BackendMessage, HeaderFlags, SharedMemoryFlags } from "./protocol.ts";
import { ProtocolError, type Violation } from "./protocol_error.ts";

/** What a request must look like. */
interface Shape {
  /** Bytes of payload. */
  readonly size: number;
  readonly fds: number;
}

/** So many messages are taken before others have their turn: a backend may send without end. */
const MESSAGES_PER_TURN = 16;

export interface FrontendRequestsOptions {
  /** Name of the device, for errors. */
  readonly name: string;
  /** REPLY_ACK is negotiated: the backend may want to know how it went. */
  readonly replyAck: boolean;
  /** The backend's config space has changed; undefined when it has none. */
  readonly onConfigChange: (() => void) | undefined;
  /** Who maps its memory now; undefined when that was not negotiated. */
  readonly sharedMemory: (() => SharedMemoryHost | undefined) | undefined;
  /** The backend broke the protocol here. Called once. */
  readonly onBroken: (error: Error) => void;
}

/**
 * The way on which a backend asks its frontend for something ("Back-end communication"). What was not
 * negotiated breaks the protocol. Requests are served one by one; while one takes its time nothing more is read.
 */
export class FrontendRequests implements Disposable {
  readonly #own: Transport;
  readonly #reader: MessageReader;
  readonly #reactor: Reactor;
  #unwatch = () => {};
  /** The backend's end, to be handed over with SetBackendReqFd and then disposed. */
  readonly peer: Owned<Fd>;
  readonly #shapes = new Map<number, Shape>();
  #closed = false;
  /** A request of the backend is being served. */
  isBusy = false;

  constructor(reactor: Reactor, private readonly options: FrontendRequestsOptions) {
    const { onConfigChange, sharedMemory } = options;
    if (onConfigChange !== undefined) {
      this.#shapes.set(BackendMessage.ConfigChange, { size: 0, fds: 0 });
    }
    if (sharedMemory !== undefined) {
      const { size } = SharedMemoryMapping;
      this.#shapes.set(BackendMessage.ShmemMap, { size, fds: 1 });
      this.#shapes.set(BackendMessage.ShmemUnmap, { size, fds: 0 });
    }
    this.#reactor = reactor;
    const [own, peer] = socketPair();
    this.#own = unixTransport(own);
    this.peer = peer;
    this.#reader = new MessageReader(
      this.#own,
      (request, violation, detail) => this.#broke(request, violation, detail),
      (header) => this.#checkHeader(header),
    );
    this.#watch();
  }

  #watch(): void {
    this.#unwatch = this.#reactor.add(this.#own.fd, () => this.#receive());
  }

  #receive(): void {
    this.#guarded(() => {
      for (let i = 0; i < MESSAGES_PER_TURN && !this.#closed && !this.isBusy; i++) {
        const message = this.#reader.read();
        // A backend may give this way up and go on.
        if (message === "closed") return this[Symbol.dispose]();
        if (message === "later") return;
        this.#serve(message);
      }
    });
  }

  /** Whatever goes wrong here is the backend's doing. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this[Symbol.dispose]();
      this.options.onBroken(error as Error);
    }
  }

  #checkHeader({ request, flags, size }: IncomingHeader): void {
    if ((flags & HeaderFlags.Reply) !== 0) {
      throw this.#broke(request, "reply-flag", "a reply came where only requests are due");
    }
    const shape = this.#shapes.get(request);
    if (shape === undefined) {
      throw this.#broke(request, "unexpected", "this request was not negotiated");
    }
    if (size !== shape.size) {
      const detail = `the request has ${size} bytes and not ${shape.size}`;
      throw this.#broke(request, "wrong-size", detail);
    }
  }

  #serve(message: IncomingMessage): void {
    const { request, fds } = message;
    using owned = new DisposableStack();
    for (const fd of fds) owned.use(fd);
    const expected = this.#shapes.get(request)?.fds ?? 0;
    if (fds.length !== expected) {
      const detail = `${fds.length} came with the request and not ${expected}`;
      throw this.#broke(request, "descriptors", detail);
    }
    const done = this.#do(message);
    if (typeof done === "boolean") return this.#answer(message, done);
    // Not even its end is looked at meanwhile: nothing would come of it but that we look again and again.
    this.isBusy = true;
    this.#unwatch();
    void this.#answerLater(message, done);
  }

  async #answerLater(message: IncomingMessage, done: Promise<boolean>): Promise<void> {
    const answer = await done;
    this.isBusy = false;
    if (this.#closed) return;
    this.#watch();
    this.#guarded(() => this.#answer(message, answer));
  }

  #answer({ request, flags }: IncomingMessage, done: boolean): void {
    if (!this.options.replyAck || (flags & HeaderFlags.NeedReply) === 0) return;
    const value = done ? 0n : 1n;
    const reply = messageBytes(request, HeaderFlags.Reply, U64.encode({ value }));
    const sent = this.#own.send(reply, []);
    // Gone: the end of this way is read next.
    if (sent !== reply.length && sent !== "closed") {
      throw this.#broke(request, "unexpected", "it asks on and on without taking the answers");
    }
  }

  /** Whether it succeeded. */
  #do({ request, payload, fds }: IncomingMessage): boolean | Promise<boolean> {
    if (request === BackendMessage.ConfigChange) {
      this.options.onConfigChange?.();
      return true;
    }
    const host = this.options.sharedMemory?.();
    if (host === undefined) return false;
    const { region, offset, fdOffset, length, flags } = SharedMemoryMapping.decode(payload);
    if (request === BackendMessage.ShmemUnmap) return host.unmap(region, offset, length);
    const writable = flags === SharedMemoryFlags.Writable;
    if (!writable && flags !== SharedMemoryFlags.ReadOnly) return false;
    return host.map({ region, offset, fdOffset, length, writable }, fds[0]);
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
