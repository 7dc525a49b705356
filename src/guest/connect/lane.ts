import { type Fd, OsError, type Owned } from "../../os/mod.ts";
import type { Transport } from "../../msg/mod.ts";
import { RelayError } from "./relay_error.ts";

/** Bytes held at a time. */
const PIECE = 32768;
/** So many pieces move before others have their turn. */
const PIECES_PER_TURN = 16;

/**
 * What became of a turn: nothing can be moved now, there may be more, the source has ended and all of it was handed on,
 * or the other side takes nothing any more.
 */
export type Turn = "later" | "more" | "ended" | "refused";

/**
 * One direction of a relay. It holds one piece at most: a side that does not read holds back who writes to it.
 */
export class Lane implements Disposable {
  readonly #from: Transport;
  readonly #to: Transport;
  readonly #buffer = new Uint8Array(PIECE);
  #start = 0;
  #end = 0;
  #fds: Owned<Fd>[] = [];
  #over: "ended" | "refused" | undefined;

  /** Both stay the caller's. */
  constructor(from: Transport, to: Transport) {
    this.#from = from;
    this.#to = to;
  }

  /** Nothing will move here any more. */
  get isOver(): boolean {
    return this.#over !== undefined;
  }

  /**
   * Moves what can be moved without waiting.
   *
   * @throws RelayError when descriptors came that cannot cross; the connection is of no use then
   */
  turn(): Turn {
    for (let i = 0; i < PIECES_PER_TURN && this.#over === undefined; i++) {
      const stopped = this.#start < this.#end ? this.#send() : this.#receive();
      if (stopped) return "later";
    }
    return this.#over ?? "more";
  }

  /** Whether there is no room. */
  #send(): boolean {
    const sent = this.#deliver();
    if (sent === "later") return true;
    if (sent === "closed") this.#stop("refused");
    else {
      this.#start += sent;
      this.#drop();
    }
    return false;
  }

  #deliver(): number | "later" | "closed" {
    try {
      return this.#to.send(this.#buffer.subarray(this.#start, this.#end), this.#fds);
    } catch (error) {
      if (!(error instanceof OsError) || this.#fds.length === 0) throw error;
      throw new RelayError(
        `one of ${this.#fds.length} descriptors cannot be sent over ${this.#to.kind} (${error.message}): ` +
          "to the host go only memory, pipes, sockets and events of Virtio Wayland",
      );
    }
  }

  /** Whether nothing is there. */
  #receive(): boolean {
    const chunk = this.#from.receive(this.#buffer);
    if (chunk === "later") return true;
    if (chunk === "closed") {
      this.#stop("ended");
      return false;
    }
    this.#start = 0;
    this.#end = chunk.length;
    this.#fds = chunk.fds;
    const { kind, maxDescriptors } = this.#to;
    if (chunk.fds.length > maxDescriptors) {
      const count = chunk.fds.length;
      throw new RelayError(`${count} descriptors came at once; ${kind} carries ${maxDescriptors}`);
    }
    if (chunk.lost) {
      throw new RelayError(`descriptors came that could not be taken from ${this.#from.kind}`);
    }
    return false;
  }

  #stop(how: "ended" | "refused"): void {
    this.#over = how;
    this.#drop();
  }

  #drop(): void {
    for (const fd of this.#fds) fd[Symbol.dispose]();
    this.#fds = [];
  }

  /** Forgets what is held. */
  [Symbol.dispose](): void {
    this.#stop("refused");
  }
}
