import { Events, type Reactor } from "../os/mod.ts";
import { DisconnectedError, RequestError } from "./message_errors.ts";
import type { Messages, NoteName, ReceivedAnswer, RequestName, SentBody } from "./protocol.ts";
import type { Received } from "./received.ts";
import { Session, type SessionOptions } from "./session.ts";
import type { Transport } from "./transport.ts";

/** How a request is waited for. */
export interface RequestOptions {
  /** Cancels it. */
  readonly signal?: AbortSignal;
  /** Cancels it after so long, with the error `timeout`. */
  readonly timeoutMs?: number;
}

/** So many messages of one peer are dealt with before others have their turn. */
const FRAMES_PER_TURN = 64;

/** The end of a conversation on an event loop. Notices at once when the peer is gone. */
export class AsyncPeer<Calls extends Messages, Serves extends Messages> implements Disposable {
  readonly #session: Session<Calls, Serves>;
  readonly #reactor: Reactor;
  readonly #stopWatching: () => void;
  readonly #closed = Promise.withResolvers<Error>();
  #watched: number = Events.In;
  /** Frames may have been read ahead, for which the reactor does not call. */
  #mayHaveMore = false;
  #turn: ReturnType<typeof setTimeout> | undefined;
  #room: PromiseWithResolvers<void> | undefined;

  /** @param transport moves in here */
  constructor(transport: Transport, reactor: Reactor, options: SessionOptions<Calls, Serves>) {
    this.#reactor = reactor;
    this.#session = new Session(transport, {
      ...options,
      onEnd: (error) => {
        this.#ended(error);
        options.onEnd?.(error);
      },
    });
    this.#stopWatching = reactor.add(this.#session.fd, (events) => this.#ready(events));
  }

  /** Resolves with the reason when the conversation is over, whoever ended it. */
  get closed(): Promise<Error> {
    return this.#closed.promise;
  }

  /** Sends a message that is not answered. @throws SendError before a byte has left */
  note<K extends NoteName<Calls>>(name: K, body: SentBody<Calls, K>): void {
    this.#session.note(name, body);
    this.#watch();
  }

  /**
   * Asks, and waits for the answer. Its descriptors are closed when it is disposed of, unless they were moved.
   *
   * @throws SendError before a byte has left; RequestError as the handler at the other end said; DisconnectedError or
   *   PeerError when the conversation is over first
   */
  async request<K extends RequestName<Calls>>(
    name: K,
    body: SentBody<Calls, K>,
    { signal, timeoutMs }: RequestOptions = {},
  ): Promise<Received<ReceivedAnswer<Calls, K>>> {
    if (signal?.aborted) throw new RequestError("cancelled", `${name} was cancelled`);
    const answered = Promise.withResolvers<Received<unknown>>();
    const id = this.#session.request(name, body, answered);
    const cancel = () => {
      this.#session.cancel(id, new RequestError("cancelled", `${name} was cancelled`));
      this.#watch();
    };
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
      const text = `${name} was not answered within ${timeoutMs} ms`;
      this.#session.cancel(id, new RequestError("timeout", text));
      this.#watch();
    }, timeoutMs);
    signal?.addEventListener("abort", cancel);
    this.#watch();
    try {
      return await answered.promise as Received<ReceivedAnswer<Calls, K>>;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
    }
  }

  /** Resolves when all that was sent has left, or never will. */
  async drained(): Promise<void> {
    while (this.#session.wantsToWrite && this.#session.ended === undefined) {
      this.#room ??= Promise.withResolvers();
      await this.#room.promise;
    }
  }

  #ready(events: number): void {
    if (events & Events.Out) this.#session.flush();
    // Nobody would read what waits for a peer that is gone.
    if (events & (Events.HangUp | Events.Error) && this.#session.isCongested) {
      return this.#session.abandon();
    }
    this.#receive();
    this.#watch();
  }

  #receive(): void {
    this.#mayHaveMore = this.#session.receive(FRAMES_PER_TURN);
  }

  #watch(): void {
    if (this.#session.ended !== undefined) return;
    if (this.#mayHaveMore && !this.#session.isCongested) {
      this.#turn ??= setTimeout(() => {
        this.#turn = undefined;
        this.#receive();
        this.#watch();
      }, 0);
    }
    if (!this.#session.wantsToWrite) {
      this.#room?.resolve();
      this.#room = undefined;
    }
    const events = (this.#session.isCongested ? 0 : Events.In) |
      (this.#session.wantsToWrite ? Events.Out : 0);
    if (events !== this.#watched) {
      this.#watched = events;
      this.#reactor.change(this.#session.fd, events);
    }
  }

  #ended(error: Error): void {
    clearTimeout(this.#turn);
    this.#stopWatching();
    this.#room?.resolve();
    this.#closed.resolve(error);
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
    this.#ended(new DisconnectedError("The message socket was closed"));
  }
}
