import {
  Errno,
  type Fd,
  makeDoorbell,
  MAX_VFDS,
  type Owned,
  receiveVfds,
  sendVfds,
  setNonBlocking,
} from "../os/mod.ts";
import type { Chunk, NoChunk, Transport } from "./transport.ts";

/** How a context is to carry what it carries. */
export interface VirtioWlOptions {
  /**
   * Events that come here are for waking somebody up, not for counting: they may take a shorter way, on which counts
   * become one, or come when there are none.
   */
  readonly hasDoorbells?: boolean;
}

/** A context of Virtio Wayland, in a guest. */
class VirtioWlTransport implements Transport {
  readonly kind = "a virtio-wl context";
  readonly maxDescriptors = MAX_VFDS;
  readonly fd: Owned<Fd>;
  readonly #options: VirtioWlOptions;

  /** @param fd moves in here */
  constructor(fd: Owned<Fd>, options: VirtioWlOptions) {
    this.fd = fd.move();
    this.#options = options;
    setNonBlocking(this.fd, true);
  }

  send(bytes: Uint8Array, fds: readonly Fd[]): number | NoChunk {
    const sent = sendVfds(this.fd, bytes, fds);
    if (sent > 0) return sent;
    return sent === -Errno.EAGAIN ? "later" : "closed";
  }

  receive(buffer: Uint8Array): Chunk | NoChunk {
    const { length, fds, truncated } = receiveVfds(this.fd, buffer);
    if (this.#options.hasDoorbells) fds.forEach(makeDoorbell);
    if (length > 0) return { length, fds, lost: truncated };
    for (const fd of fds) fd[Symbol.dispose]();
    return length === -Errno.EAGAIN ? "later" : "closed";
  }

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }
}

/**
 * A guest's connection to a socket of its host, which carries descriptors that the host can take: VFDs. It moves into
 * the transport and becomes non-blocking.
 */
export function virtioWlTransport(fd: Owned<Fd>, options: VirtioWlOptions = {}): Transport {
  return new VirtioWlTransport(fd, options);
}
