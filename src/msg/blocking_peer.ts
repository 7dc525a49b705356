import { Events, type Fd, pollOne } from "../os/mod.ts";
import { RequestError } from "./message_errors.ts";
import type { Messages, NoteName, ReceivedAnswer, RequestName, SentBody } from "./protocol.ts";
import type { Received } from "./received.ts";
import { Session, type SessionOptions } from "./session.ts";
import type { Transport } from "./transport.ts";

/**
 * The end of a conversation on a thread that owns its loop: it waits in poll, and uses no event loop. Handlers answer
 * before they return; while a request of ours waits for its answer, those of the peer are served.
 */
export class BlockingPeer<Calls extends Messages, Serves extends Messages> implements Disposable {
  readonly #session: Session<Calls, Serves>;

  /** @param transport moves in here */
  constructor(transport: Transport, options: SessionOptions<Calls, Serves>) {
    this.#session = new Session(transport, options);
  }

  /** For a poller; stays here. */
  get fd(): Fd {
    return this.#session.fd;
  }

  /** Why the conversation is over; undefined while it goes on. */
  get ended(): Error | undefined {
    return this.#session.ended;
  }

  /** Deals with what is here, without waiting: for a loop whose poller says that the socket is readable. */
  receive(): void {
    let more;
    do {
      more = this.#session.receive();
      this.#send();
    } while (more && this.#session.ended === undefined);
  }

  /** Waits for messages and deals with them; false when nothing came for so long, or the conversation is over. */
  wait(timeoutMs = -1): boolean {
    if (this.#session.ended !== undefined) return false;
    if (pollOne(this.#session.fd, Events.In, timeoutMs) === 0) return false;
    this.receive();
    return this.#session.ended === undefined;
  }

  /** Sends a message that is not answered; returns when it has left. @throws SendError before a byte has left */
  note<K extends NoteName<Calls>>(name: K, body: SentBody<Calls, K>): void {
    this.#session.note(name, body);
    this.#send();
  }

  /**
   * Asks, and waits for the answer. Its descriptors are closed when it is disposed of, unless they were moved.
   *
   * @param timeoutMs -1 for as long as the peer lives
   * @throws SendError before a byte has left; RequestError as the handler at the other end said, or `timeout`;
   *   DisconnectedError or PeerError when the conversation is over first
   */
  request<K extends RequestName<Calls>>(
    name: K,
    body: SentBody<Calls, K>,
    timeoutMs = -1,
  ): Received<ReceivedAnswer<Calls, K>> {
    let settled: { answer: Received<unknown> } | { error: Error } | undefined;
    const id = this.#session.request(name, body, {
      resolve: (answer) => settled = { answer },
      reject: (error) => settled = { error },
    });
    const deadline = timeoutMs < 0 ? Infinity : performance.now() + timeoutMs;
    const outcome = () => settled;
    for (let result = outcome();; result = outcome()) {
      if (result !== undefined) {
        if ("error" in result) throw result.error;
        return result.answer as Received<ReceivedAnswer<Calls, K>>;
      }
      const left = deadline === Infinity ? -1 : Math.ceil(deadline - performance.now());
      if (left === 0 || deadline !== Infinity && left < 0) {
        const text = `${name} was not answered within ${timeoutMs} ms`;
        this.#session.cancel(id, new RequestError("timeout", text));
        continue;
      }
      this.#turn(left);
    }
  }

  /** Waits until what was sent has left. Reads meanwhile: two ends that only write would wait for each other. */
  #send(): void {
    while (this.#session.wantsToWrite && this.#session.ended === undefined) this.#turn(-1);
  }

  /** Waits until the socket is of use, and uses it. */
  #turn(timeoutMs: number): void {
    const session = this.#session;
    const events = (session.isCongested ? 0 : Events.In) | (session.wantsToWrite ? Events.Out : 0);
    const happened = pollOne(session.fd, events, timeoutMs);
    if (happened > 0 && happened & Events.HangUp && session.isCongested) return session.abandon();
    session.flush();
    session.receive();
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }
}
