import type { Fd, Owned } from "../os/mod.ts";
import { FRAME_MAGIC, FrameHeader } from "./frame.ts";
import { PeerError, type Violation } from "./message_errors.ts";
import type { NoChunk, Transport } from "./transport.ts";

/** A whole message as it came. The taker owns the descriptors. */
export interface Frame {
  /** Valid until the next read. */
  readonly payload: Uint8Array;
  readonly fds: Owned<Fd>[];
}

interface Head {
  readonly length: number;
  readonly descriptors: number;
}

/** Bytes that are read ahead. A payload that is longer than half of it is received where it stays. */
const STAGE = 65536;

/**
 * Takes frames from a stream, in however many pieces they come.
 *
 * The kernel says with which piece descriptors came, not with which byte. So the rule is: descriptors belong to
 * frames of which that piece has at least one byte, in the order in which these frames announce them.
 */
export class FrameReader implements Disposable {
  readonly #transport: Transport;
  readonly #limit: number;
  readonly #stage = new Uint8Array(STAGE);
  readonly #view = new DataView(this.#stage.buffer);
  #start = 0;
  #end = 0;
  #head: Head | undefined;
  /** Of a long payload, of which `#filled` bytes are there. */
  #body: Uint8Array | undefined;
  #filled = 0;
  #fds: Owned<Fd>[] = [];
  #error: PeerError | undefined;

  /**
   * @param transport stays the caller's
   * @param limit the longest payload in bytes
   */
  constructor(transport: Transport, limit: number) {
    this.#transport = transport;
    this.#limit = limit;
  }

  /** A part of a frame is here, which a peer that closes now leaves unfinished. */
  get midFrame(): boolean {
    return this.#head !== undefined || this.#end > this.#start;
  }

  /**
   * The next whole frame, or why there is none.
   *
   * @throws PeerError on what no peer may send, now and ever after; descriptors that came are closed
   */
  read(): Frame | NoChunk {
    if (this.#error !== undefined) throw this.#error;
    for (;;) {
      const frame = this.#take();
      if (frame !== undefined) return frame;
      const { length, fds, lost } = this.#receive() ?? none;
      if (length === 0) return this.#state;
      this.#fds.push(...fds);
      if (lost) {
        const kind = this.#transport.kind;
        this.#fail("lost", `descriptors came that could not be taken from ${kind}`);
      }
    }
  }

  #state: NoChunk = "later";

  #receive() {
    const chunk = this.#transport.receive(this.#space());
    if (typeof chunk === "string") {
      this.#state = chunk;
      return undefined;
    }
    if (this.#body === undefined) this.#end += chunk.length;
    else this.#filled += chunk.length;
    return chunk;
  }

  /** Where the next bytes go. */
  #space(): Uint8Array {
    if (this.#body !== undefined) return this.#body.subarray(this.#filled);
    if (this.#start > 0) {
      this.#stage.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    return this.#stage.subarray(this.#end);
  }

  #take(): Frame | undefined {
    this.#head ??= this.#takeHead();
    const head = this.#head;
    if (head === undefined) {
      const most = this.#end > this.#start ? this.#transport.maxDescriptors : 0;
      this.#allow(most);
      return undefined;
    }
    const available = this.#end - this.#start;
    if (this.#body === undefined && available < head.length && head.length > STAGE / 2) {
      const body = new Uint8Array(head.length);
      body.set(this.#stage.subarray(this.#start, this.#end));
      this.#start = this.#end = 0;
      this.#body = body;
      this.#filled = available;
    }
    if (this.#body !== undefined) {
      this.#allow(head.descriptors);
      if (this.#filled < head.length) return undefined;
      return this.#finish(head, this.#body);
    }
    if (available < head.length) {
      this.#allow(head.descriptors);
      return undefined;
    }
    const payload = this.#stage.subarray(this.#start, this.#start + head.length);
    this.#start += head.length;
    return this.#finish(head, payload);
  }

  #takeHead(): Head | undefined {
    if (this.#end - this.#start < FrameHeader.size) return undefined;
    const { magic, length, descriptors } = FrameHeader.at(this.#view, this.#start);
    if (magic !== FRAME_MAGIC) {
      this.#fail("frame", `what came is no message (it begins with 0x${magic.toString(16)})`);
    }
    if (length > this.#limit) {
      this.#fail("oversized", `a message of ${length} bytes; at most ${this.#limit} are taken`);
    }
    const { maxDescriptors, kind } = this.#transport;
    if (descriptors > maxDescriptors) {
      const detail = `${descriptors} descriptors in a message; ${kind} carries ${maxDescriptors}`;
      this.#fail("unannounced", detail);
    }
    this.#start += FrameHeader.size;
    return { length, descriptors };
  }

  #finish(head: Head, payload: Uint8Array): Frame {
    const { descriptors } = head;
    const came = this.#fds.length;
    if (came < descriptors) {
      this.#fail("missing", `${descriptors} descriptors were announced, and ${came} came`);
    }
    // What is left belongs to frames that have begun.
    if (this.#start === this.#end) this.#allow(descriptors);
    const fds = this.#fds.splice(0, descriptors);
    this.#head = undefined;
    this.#body = undefined;
    this.#filled = 0;
    return { payload, fds };
  }

  #allow(most: number): void {
    const came = this.#fds.length;
    if (came > most) this.#fail("unannounced", `${came} descriptors came, and ${most} may`);
  }

  #fail(violation: Violation, detail: string): never {
    this.#error = new PeerError(violation, detail);
    this[Symbol.dispose]();
    throw this.#error;
  }

  /** Closes descriptors of what will not be whole. */
  [Symbol.dispose](): void {
    for (const fd of this.#fds) fd[Symbol.dispose]();
    this.#fds = [];
    this.#body = undefined;
  }
}

const none = { length: 0, fds: [], lost: false };
