import type { Fd, Owned } from "../os/mod.ts";

/** A piece of a stream. */
export interface Chunk {
  /** Bytes received; at least 1. */
  readonly length: number;
  /** Descriptors that came with any of these bytes, in order; the receiver owns them. */
  readonly fds: Owned<Fd>[];
  /** Some more came that could not be taken, and are closed. */
  readonly lost: boolean;
}

/** Why a stream has nothing, or takes nothing, for now or for good. */
export type NoChunk = "later" | "closed";

/**
 * A stream of bytes, and of descriptors where it carries them, that never blocks. The only thing that a message socket
 * knows of what is beneath it.
 */
export interface Transport extends Disposable {
  /** For error messages: `a Unix socket`. */
  readonly kind: string;
  /** The most descriptors that one piece can carry; 0 when it carries none. */
  readonly maxDescriptors: number;
  /** Readable when something came or the peer left, writable when there is room. */
  readonly fd: Fd;
  /**
   * Sends what there is room for. Descriptors go with the first byte, all or none; they stay the caller's.
   *
   * @returns bytes taken, at least 1
   * @throws OsError when descriptors cannot be sent; then no byte was
   */
  send(bytes: Uint8Array, fds: readonly Fd[]): number | NoChunk;
  /** Receives what is there, up to the length of the buffer. */
  receive(buffer: Uint8Array): Chunk | NoChunk;
}
