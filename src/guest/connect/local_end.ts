import {
  Errno,
  type Fd,
  MAX_DESCRIPTORS,
  MessageFlags,
  type Owned,
  receivePiece,
  sendMessage,
  shutdownWrite,
} from "../../os/mod.ts";
import type { Chunk, NoChunk, Transport } from "../../msg/mod.ts";

/** The connection of a program in the guest. Descriptors come with the byte that they were sent with. */
export class LocalEnd implements Transport {
  readonly kind = "a Unix socket";
  readonly maxDescriptors = MAX_DESCRIPTORS;
  readonly fd: Owned<Fd>;

  /** @param fd moves in here */
  constructor(fd: Owned<Fd>) {
    this.fd = fd.move();
  }

  send(bytes: Uint8Array, fds: readonly Fd[]): number | NoChunk {
    const sent = sendMessage(this.fd, bytes, fds, MessageFlags.DontWait);
    if (sent > 0) return sent;
    return sent === -Errno.EAGAIN ? "later" : "closed";
  }

  receive(buffer: Uint8Array): Chunk | NoChunk {
    const { length, fds, truncated } = receivePiece(
      this.fd,
      buffer,
      MAX_DESCRIPTORS,
      MessageFlags.DontWait,
    );
    if (length > 0) return { length, fds, lost: truncated };
    return length === -Errno.EAGAIN ? "later" : "closed";
  }

  /** The program reads the end of the stream, when it has read what came before. */
  end(): void {
    shutdownWrite(this.fd);
  }

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }
}
