import type { NoChunk, Transport } from "../msg/mod.ts";
import type { Fd, Owned } from "../os/mod.ts";
import { Header } from "./payloads.ts";
import { HeaderFlags, MAX_MESSAGE_FDS, MAX_PAYLOAD_SIZE } from "./protocol.ts";
import type { ProtocolError, Violation } from "./protocol_error.ts";

/** The header of a message that is coming in. */
export interface IncomingHeader {
  readonly request: number;
  /** {@link HeaderFlags} */
  readonly flags: number;
  /** Bytes of payload. */
  readonly size: number;
}

/** A whole message. The taker owns the descriptors. */
export interface IncomingMessage extends IncomingHeader {
  /** A copy of its own. */
  readonly payload: Uint8Array<ArrayBuffer>;
  readonly fds: Owned<Fd>[];
}

/**
 * Takes messages from a stream, in however many pieces they come. It asks for no byte beyond the
 * message at hand, so that descriptors stay with their message.
 */
export class MessageReader implements Disposable {
  readonly #buffer = new Uint8Array(Header.size + MAX_PAYLOAD_SIZE);
  readonly #view = new DataView(this.#buffer.buffer);
  #filled = 0;
  #needed: number = Header.size;
  #fds: Owned<Fd>[] = [];

  /**
   * @param transport stays the caller's
   * @param broken makes the error for a message of this socket
   * @param checkHeader throws when this header is none that the socket may carry now; called before
   *   any byte of the payload is taken
   */
  constructor(
    private readonly transport: Transport,
    private readonly broken: (
      request: number | undefined,
      violation: Violation,
      detail: string,
    ) => ProtocolError,
    private readonly checkHeader: (header: IncomingHeader) => void,
  ) {}

  /** A part of a message is here. */
  get midMessage(): boolean {
    return this.#filled > 0;
  }

  /**
   * The next whole message, or why there is none.
   *
   * @throws ProtocolError on one that no peer may send; the reader is then of no more use
   */
  read(): IncomingMessage | NoChunk {
    while (this.#filled < this.#needed) {
      const part = this.#buffer.subarray(this.#filled, this.#needed);
      const chunk = this.transport.receive(part);
      if (chunk === "later" || chunk === "closed") return chunk;
      this.#fds.push(...chunk.fds);
      const first = this.#filled < Header.size;
      this.#filled += chunk.length;
      if (chunk.lost || this.#fds.length > MAX_MESSAGE_FDS) {
        const request = this.#filled >= Header.size ? this.#header().request : undefined;
        const detail = `more than ${MAX_MESSAGE_FDS} descriptors came with one message`;
        throw this.broken(request, "descriptors", detail);
      }
      if (first && this.#filled >= Header.size) this.#takeHeader();
    }
    return this.#takeMessage();
  }

  #header(): IncomingHeader {
    const { request, flags, size } = Header.at(this.#view);
    return { request, flags, size };
  }

  #takeHeader(): void {
    const header = this.#header();
    if ((header.flags & HeaderFlags.VersionMask) !== HeaderFlags.Version) {
      const detail = `a message of version ${header.flags & HeaderFlags.VersionMask} came`;
      throw this.broken(header.request, "version", detail);
    }
    if (header.size > MAX_PAYLOAD_SIZE) {
      const detail = `a payload of ${header.size} bytes was announced; no message has that`;
      throw this.broken(header.request, "oversized", detail);
    }
    this.checkHeader(header);
    this.#needed = Header.size + header.size;
  }

  #takeMessage(): IncomingMessage {
    const header = this.#header();
    const payload = this.#buffer.slice(Header.size, this.#needed);
    const fds = this.#fds;
    this.#fds = [];
    this.#filled = 0;
    this.#needed = Header.size;
    return { ...header, payload, fds };
  }

  /** Closes descriptors of a message that will not be whole. */
  [Symbol.dispose](): void {
    for (const fd of this.#fds) fd[Symbol.dispose]();
    this.#fds = [];
  }
}
