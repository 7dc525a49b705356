import { Errno, Events, type Fd, type IoVector, type Owned } from "../../os/mod.ts";
import { WlResponse } from "../../virtio/mod.ts";
import type { Arrival } from "./arrival.ts";
import type { Charge } from "./charge.ts";
import type { InQueue } from "./in_queue.ts";
import type { OutQueue } from "./out_queue.ts";
import type { Send } from "./send.ts";
import type { Turns } from "../turns.ts";
import { Vfd } from "./vfd.ts";
import type { Watcher } from "../watcher.ts";

/** What the endpoints of a device share. */
export interface Exchange {
  readonly vector: IoVector;
  readonly out: OutQueue;
  readonly watcher: Watcher;
  /** Who has something for the guest. */
  readonly turns: Turns<Endpoint>;
  /** All that are not at their end. */
  readonly live: Set<Endpoint>;
  /** Whose descriptor has room again for what it holds. */
  readonly unblocked: Set<Endpoint>;
  /** Receive credit of a new endpoint. */
  readonly credit: number;
}

/** What came of a turn. */
export const Turn = {
  /** There is nothing more to tell for now. */
  Done: 0,
  More: 1,
  /** There was no buffer. */
  NoBuffer: 2,
} as const;

/** How the way to the guest ends. */
type End = "open" | "to be told" | "told";

/** A VFD on which messages go to and fro. None of its calls blocks. */
export abstract class Endpoint extends Vfd {
  /** It is in the list of turns. */
  hasTurn = false;
  protected readonly fd: Owned<Fd>;
  protected readonly exchange: Exchange;
  /** What brings something for the guest; an end is always noticed. */
  protected abstract readonly wanted: number;
  /** The fewest bytes of credit that a message takes. */
  protected readonly leastCredit: number = 1;
  #place: number | undefined;
  #credit: number;
  #isReadable = false;
  #end: End = "open";
  #arrival: Arrival | undefined;
  /** Those that wait for room, in order. */
  readonly #sends: Send[] = [];
  /** It takes nothing any more. */
  #isGone = false;

  /** @param fd moves in here */
  constructor(id: number, charge: Charge, fd: Owned<Fd>, exchange: Exchange) {
    super(id, charge);
    this.fd = fd.move();
    this.exchange = exchange;
    this.#credit = exchange.credit;
    exchange.live.add(this);
  }

  protected get sendable(): Fd | undefined {
    return this.fd.closed ? undefined : this.fd;
  }

  /** Begins to wait for what the host does. */
  watch(): void {
    if (this.#place !== undefined || this.fd.closed) return;
    this.#place = this.exchange.watcher.add(this, this.fd, this.wanted);
  }

  /** Waits no longer; what the host has done stays where it is. */
  protected ignore(): void {
    this.#unwatch();
    this.#isReadable = false;
  }

  /** Something happened to the descriptor: a mask of {@link Events}. */
  happened(events: number): void {
    if ((events & ~Events.Out) !== 0 && this.#end === "open") {
      this.#isReadable = true;
      this.exchange.turns.add(this);
    }
    if ((events & ~Events.In) !== 0 && this.#sends.length > 0) this.exchange.unblocked.add(this);
  }

  /** The guest takes so many bytes more. */
  giveCredit(bytes: number): void {
    const hadEnough = this.#credit >= this.leastCredit;
    this.#credit = Math.min(this.#credit + bytes, Number.MAX_SAFE_INTEGER);
    if (!hadEnough) this.#changeWatch();
  }

  // ---- To the guest

  /** Tells the guest one thing. */
  deliver(queue: InQueue): number {
    if (this.#arrival !== undefined) {
      if (!this.#arrival.deliver(queue, this)) return Turn.NoBuffer;
      this.#arrival = undefined;
      // It was kept for this.
      this.release();
      return Turn.More;
    }
    if (this.#end === "to be told") return this.#tellEnd(queue);
    if (!this.#isReadable || this.#end === "told") return Turn.Done;
    if (this.#credit < this.leastCredit) {
      this.#isReadable = false;
      return Turn.Done;
    }
    if (!queue.take()) return Turn.NoBuffer;
    const bytes = this.receive(queue, Math.min(queue.room(0), this.#credit));
    if (bytes > 0) {
      this.#credit -= bytes;
      return Turn.More;
    }
    if (bytes === -Errno.EINTR) return Turn.More;
    this.#isReadable = false;
    if (bytes === -Errno.EAGAIN) return Turn.Done;
    if (this.#end === "open") this.#end = "to be told";
    return Turn.More;
  }

  /**
   * Receives into a buffer of the driver that was taken, and completes it or puts it back.
   *
   * @param most bytes
   * @returns bytes; 0 at the end; a negative error number
   */
  protected abstract receive(queue: InQueue, most: number): number;

  /** What was received goes to the guest before anything else. */
  protected arrived(arrival: Arrival): void {
    this.#arrival = arrival;
    this.hold();
  }

  #tellEnd(queue: InQueue): number {
    if (!queue.take()) return Turn.NoBuffer;
    queue.hangUp(this);
    this.#end = "told";
    return Turn.Done;
  }

  // ---- From the guest

  override send(send: Send): number | undefined {
    if (this.#isGone) return WlResponse.Error;
    if (this.#sends.length === 0) {
      const response = this.#push(send);
      if (response !== undefined) return response;
    }
    this.#sends.push(send);
    this.hold();
    this.exchange.out.hold(send, this);
    if (this.#sends.length === 1) this.#changeWatch();
    return undefined;
  }

  /** Goes on with what is held. */
  pushHeld(): void {
    while (this.#sends.length > 0) {
      const response = this.#push(this.#sends[0]);
      if (response === undefined) return;
      this.#finishFirst(response);
    }
  }

  /** Writes, and the descriptors of the SEND with the first byte. Bytes, or a negative error number. */
  protected abstract write(vector: IoVector, fds: readonly Fd[]): number;

  /** A SEND is over: what it carried is the host's, or not. */
  protected finished(send: Send, isSent: boolean): void {
    send.giveBack(isSent);
  }

  /** Writes on. The response when it is over, undefined while there is no room. */
  #push(send: Send): number | undefined {
    const { vector } = this.exchange;
    const begin = send.at;
    let written = 0;
    while (!send.isFinished && !this.#isGone) {
      send.gather(vector);
      written = this.write(vector, send.fds);
      if (written > 0) send.taken(written);
      else if (written === -Errno.EAGAIN) return undefined;
      else if (written !== -Errno.EINTR) break;
    }
    this.finished(send, send.fds.length === 0);
    if (send.isFinished) return WlResponse.Ok;
    // Of what the host refuses nothing has left; half of something is worse than an end.
    const isRefused = send.at === begin && !isEnd(written);
    if (!isRefused) this.#isGone = true;
    return WlResponse.Error;
  }

  #refuseHeld(): void {
    while (this.#sends.length > 0) {
      this.finished(this.#sends[0], false);
      this.#finishFirst(WlResponse.Error);
    }
  }

  #finishFirst(response: number): void {
    const send = this.#sends.shift();
    if (send === undefined) return;
    this.exchange.out.answer(send, response);
    if (this.#sends.length === 0) this.#changeWatch();
    this.release();
  }

  // ---- The end

  /** Ends it from our side: neither the guest nor the host hears of the other again, and the guest is told. */
  abandon(): void {
    this.#isGone = true;
    this.hold();
    this.#refuseHeld();
    if (this.#end === "open") this.#end = "to be told";
    this.exchange.turns.add(this);
    this.#unwatch();
    this.fd[Symbol.dispose]();
    this.release();
  }

  /** What it holds is still sent; what the guest has heard the beginning of is told to the end. */
  override close(): void {
    this.#end = "told";
    if (this.#arrival?.isUnknown === true) {
      this.#arrival.drop();
      this.#arrival = undefined;
      this.release();
    }
    super.close();
  }

  /** The device is reset: nothing is on its way any more. */
  drop(): void {
    this.hold();
    this.#refuseHeld();
    if (this.#arrival !== undefined) {
      this.#arrival.drop();
      this.#arrival = undefined;
      this.release();
    }
    this.release();
  }

  protected dispose(): void {
    this.exchange.live.delete(this);
    this.exchange.unblocked.delete(this);
    this.#unwatch();
    this.fd[Symbol.dispose]();
  }

  /** What is the case already counts again. */
  #changeWatch(): void {
    if (this.#place === undefined || this.fd.closed) return;
    const writes = this.#sends.length > 0 ? Events.Out : 0;
    this.exchange.watcher.change(this.#place, this.fd, this.wanted | writes);
  }

  #unwatch(): void {
    if (this.#place === undefined || this.fd.closed) return;
    this.exchange.watcher.remove(this.#place, this.fd);
    this.#place = undefined;
  }
}

function isEnd(error: number): boolean {
  return error === -Errno.EPIPE || error === -Errno.ECONNRESET;
}
