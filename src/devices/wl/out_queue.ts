import { OsError, type Window } from "../../os/mod.ts";
import { type Virtqueue, WlHeader, WlResponse } from "../../virtio/mod.ts";
import { writeHead } from "../chain_bytes.ts";
import type { Endpoint } from "./endpoint.ts";
import { Send } from "./send.ts";

/** Commands that are on their way at a time; a driver has no more in a queue of the usual size. */
const MOST_HELD = 256;
/** Bytes of data for which there is memory of our own. */
const MOST_COPIED = 2 ** 26;

/** Commands of the guest. One that is not answered at once is held, and others go on. */
export class OutQueue {
  readonly #window: Window;
  readonly #message = new DataView(new ArrayBuffer(WlHeader.size));
  readonly #spare: Send[] = [];
  /** Those that the driver waits for. */
  readonly #held = new Map<Send, Endpoint>();
  #queue: Virtqueue | undefined;
  #copied = 0;

  constructor(window: Window) {
    this.#window = window;
  }

  /** From here come the next ones. */
  use(queue: Virtqueue): void {
    this.#queue = queue;
  }

  /** The next command. */
  next(): Send | undefined {
    const queue = this.#queue;
    if (queue === undefined || this.#held.size >= MOST_HELD) return undefined;
    const send = this.#spare.pop() ?? new Send();
    for (; queue.next(send.chain); queue.complete(send.chain, 0)) {
      // Without room for an answer nobody would know what it did.
      if (send.chain.writableBytes < WlHeader.size) continue;
      send.isAsked = true;
      return send;
    }
    this.#spare.push(send);
    return undefined;
  }

  /** The answer comes later, by {@linkcode answer}. */
  hold(send: Send, endpoint: Endpoint): void {
    this.#held.set(send, endpoint);
  }

  /** Answers, if somebody still waits, by a type or a whole structure; the command is over. */
  answer(send: Send, response: number | Uint8Array): void {
    const { chain } = send;
    if (send.isAsked) {
      let message: DataView = this.#message;
      if (typeof response === "number") message.setUint32(0, response, true);
      else message = new DataView(response.buffer, response.byteOffset, response.byteLength);
      const bytes = Math.min(message.byteLength, chain.writableBytes);
      writeHead(this.#window.view, chain, message, bytes);
      this.#queue?.complete(chain, bytes);
      this.#held.delete(send);
    }
    this.#copied -= send.copyBytes;
    send.clear(this.#window);
    this.#spare.push(send);
  }

  /**
   * Answers all that is held before its end, since the driver's memory is about to go: what was not taken yet goes on
   * from memory of ours. Where there is none the conversation ends.
   */
  settle(): void {
    for (const [send, endpoint] of this.#held) {
      if (!this.#keep(send)) endpoint.abandon();
    }
    this.#queue = undefined;
  }

  #keep(send: Send): boolean {
    if (this.#copied + send.end - send.at > MOST_COPIED) return false;
    const { chain } = send;
    this.#message.setUint32(0, WlResponse.Ok, true);
    writeHead(this.#window.view, chain, this.#message, WlHeader.size);
    try {
      send.keep(this.#window);
    } catch (error) {
      if (!(error instanceof OsError || error instanceof RangeError)) throw error;
      return false;
    }
    this.#copied += send.copyBytes;
    this.#queue?.complete(chain, WlHeader.size);
    send.isAsked = false;
    this.#held.delete(send);
    return true;
  }
}
