import {
  Errno,
  type Fd,
  MAX_DESCRIPTORS,
  MessageFlags,
  type Owned,
  receiveMessage,
  sendMessage,
} from "../os/mod.ts";
import type { Chunk, NoChunk, Transport } from "./transport.ts";

/** A connected stream socket, whatever its family. */
export class SocketTransport implements Transport {
  readonly fd: Owned<Fd>;

  /**
   * @param fd moves in here
   * @param from how it is received from
   */
  constructor(
    fd: Owned<Fd>,
    readonly kind: string,
    readonly maxDescriptors: number,
    private readonly from: typeof receiveMessage = receiveMessage,
  ) {
    this.fd = fd.move();
  }

  send(bytes: Uint8Array, fds: readonly Fd[]): number | NoChunk {
    // The flag, since O_NONBLOCK would be shared with all who hold this socket.
    const sent = sendMessage(this.fd, bytes, fds, MessageFlags.DontWait);
    if (sent > 0) return sent;
    return sent === -Errno.EAGAIN ? "later" : "closed";
  }

  receive(buffer: Uint8Array): Chunk | NoChunk {
    const { length, fds, truncated } = this.from(
      this.fd,
      buffer,
      this.maxDescriptors,
      MessageFlags.DontWait,
    );
    if (length > 0) return { length, fds, lost: truncated };
    return length === -Errno.EAGAIN ? "later" : "closed";
  }

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }
}

/** A Unix stream socket, which carries descriptors. It moves into the transport. */
export function unixTransport(fd: Owned<Fd>): Transport {
  return new SocketTransport(fd, "a Unix socket", MAX_DESCRIPTORS);
}

/** Any connected stream socket (TCP, vsock, Unix), without descriptors. It moves into the transport. */
export function byteTransport(fd: Owned<Fd>): Transport {
  return new SocketTransport(fd, "a byte stream", 0);
}
