import { closeOwned, Fd, OsError, type Owned } from "../os/mod.ts";
import { FRAME_MAGIC, FrameHeader } from "./frame.ts";
import { SendError } from "./message_errors.ts";
import type { Transport } from "./transport.ts";
import type { SentFd } from "./descriptor.ts";

/** A part of a frame that waits for room. */
interface Waiting {
  readonly bytes: Uint8Array;
  readonly fds: Owned<Fd>[];
}

/** Up to here header and payload are worth a copy to spare a system call. */
const COPY = 16384;

/**
 * Puts frames onto a stream: whole, or not at all as long as the connection lives. What the stream has no room for waits
 * here, with descriptors of its own.
 */
export class FrameWriter implements Disposable {
  readonly #transport: Transport;
  readonly #limit: number;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #closed = false;

  /**
   * @param transport stays the caller's
   * @param limit the longest payload in bytes
   */
  constructor(transport: Transport, limit: number) {
    this.#transport = transport;
    this.#limit = limit;
  }

  /** Bytes that wait for room in the stream. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /**
   * Sends a frame, or lets it wait. Descriptors that are owned are taken over in any case, also when this throws;
   * borrowed ones may be closed as soon as it returns. The payload must not change any more.
   *
   * @throws SendError before any byte has left
   */
  send(payload: Uint8Array, fds: readonly SentFd[]): void {
    try {
      this.#check(payload, fds);
      const header = FrameHeader.encode({
        magic: FRAME_MAGIC,
        descriptors: fds.length,
        length: payload.length,
      });
      if (payload.length > COPY) {
        this.#put(header, fds);
        this.#put(payload, []);
      } else {
        const frame = new Uint8Array(header.length + payload.length);
        frame.set(header);
        frame.set(payload, header.length);
        this.#put(frame, fds);
      }
    } finally {
      for (const fd of fds) if (Fd.is(fd)) closeOwned(fd);
    }
  }

  #check(payload: Uint8Array, fds: readonly SentFd[]): void {
    if (this.#closed) throw new SendError("closed", "Cannot send: the message socket is closed");
    for (const [i, fd] of fds.entries()) {
      if (!Fd.is(fd)) throw new SendError("descriptor", `Descriptor ${i} of a message is none`);
      if (fd.closed) {
        const message = `Descriptor ${i} of a message is closed, or was moved elsewhere`;
        throw new SendError("descriptor", message);
      }
      if ("move" in fd && fds.indexOf(fd) !== i) {
        throw new SendError("descriptor", `Descriptor ${i} of a message is given away twice`);
      }
    }
    const { maxDescriptors, kind } = this.#transport;
    if (fds.length > maxDescriptors) {
      throw new SendError(
        "too-many-descriptors",
        `A message with ${fds.length} descriptors cannot be sent: ${kind} carries ${
          maxDescriptors === 0 ? "none" : `at most ${maxDescriptors}`
        }`,
      );
    }
    if (payload.length > this.#limit) {
      throw new SendError(
        "too-large",
        `A message of ${payload.length} bytes cannot be sent: at most ${this.#limit} may`,
      );
    }
  }

  #put(bytes: Uint8Array, fds: readonly SentFd[]): void {
    if (this.#waiting.length > 0) return this.#wait(bytes, fds);
    try {
      const sent = this.#transport.send(bytes, fds);
      if (sent === "closed") {
        this.#closed = true;
        throw new SendError("closed", "Cannot send: the peer has closed its message socket");
      }
      if (sent === "later") this.#wait(bytes, fds);
      else if (sent < bytes.length) this.#wait(bytes.subarray(sent), []);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      throw new SendError("system", error.message, { cause: error });
    }
  }

  /** The caller may close its descriptors when we return. */
  #wait(bytes: Uint8Array, fds: readonly SentFd[]): void {
    using undo = new DisposableStack();
    const kept = fds.map((fd) => undo.use("move" in fd ? fd.move() : fd.dup()));
    undo.move();
    this.#waiting.push({ bytes, fds: kept });
    this.#waitingBytes += bytes.length;
  }

  /**
   * Sends on. True when nothing waits any more. False when it does: the stream is full, or closed.
   *
   * @throws OsError when descriptors that wait cannot be sent
   */
  flush(): boolean {
    while (this.#waiting.length > 0 && !this.#closed) {
      const { bytes, fds } = this.#waiting[0];
      const sent = this.#transport.send(bytes, fds);
      if (sent === "later") return false;
      if (sent === "closed") {
        this.#closed = true;
        break;
      }
      for (const fd of fds) fd[Symbol.dispose]();
      this.#waitingBytes -= sent;
      if (sent < bytes.length) this.#waiting[0] = { bytes: bytes.subarray(sent), fds: [] };
      else this.#waiting.shift();
    }
    return this.#waiting.length === 0;
  }

  /** The peer takes nothing any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Drops what waits, so that the peer sees the end of the stream in the middle of a frame. */
  [Symbol.dispose](): void {
    this.#closed = true;
    for (const { fds } of this.#waiting) for (const fd of fds) fd[Symbol.dispose]();
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }
}
