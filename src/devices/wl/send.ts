import { type Fd, type IoVector, PAGE_SIZE, type Window } from "../../os/mod.ts";
import { DescriptorChain } from "../../virtio/mod.ts";
import { gatherReadable } from "../chain_bytes.ts";
import type { Vfd } from "./vfd.ts";

/** Pieces of a command, which may come in single pages: 1 MiB of data and some more. */
const SEGMENTS = 300;

const NO_FDS: readonly Fd[] = [];
const NO_VFDS: readonly Vfd[] = [];

/** A command of the driver; a SEND may be on its way for a while. Reused from command to command. */
export class Send {
  readonly chain = new DescriptorChain(SEGMENTS);
  /** The driver waits for the answer. */
  isAsked = false;
  /** Where the data that was not taken yet begins in the chain, and where it ends. */
  at = 0;
  end = 0;
  /** What goes with the first byte. */
  fds: readonly Fd[] = NO_FDS;
  vfds: readonly Vfd[] = NO_VFDS;
  #copy = 0;
  #copyBytes = 0;

  get isFinished(): boolean {
    return this.at === this.end;
  }

  /** Bytes of its own memory. */
  get copyBytes(): number {
    return this.#copyBytes;
  }

  /** Puts what is left into a vector, as far as there is room. */
  gather(vector: IoVector): void {
    gatherReadable(vector, this.chain, this.at, this.end);
  }

  /** So many bytes were taken, and everything that goes with the first one. */
  taken(bytes: number): void {
    this.at += bytes;
    this.fds = NO_FDS;
  }

  /** Gives back what was lent to it, which has been sent, or not. */
  giveBack(isSent: boolean): void {
    const { vfds } = this;
    this.vfds = NO_VFDS;
    for (let i = 0; i < vfds.length; i++) vfds[i].lent(isSent);
  }

  /** Copies what is left out of the driver's memory. Throws RangeError or OsError when there is no room. */
  keep(window: Window): void {
    const { chain } = this;
    const bytes = this.end - this.at;
    // An empty one waits for its turn, too.
    if (bytes === 0) return;
    const size = Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
    const copy = window.allocate(size);
    try {
      window.mapAnonymous(copy, size);
    } catch (error) {
      window.free(copy, size);
      throw error;
    }
    for (let i = 0, at = 0; i < chain.readableCount; i++) {
      const begin = Math.max(at, this.at);
      const length = Math.min(at + chain.lengths[i], this.end) - begin;
      if (length > 0) {
        const from = window.bytes(chain.offsets[i] + begin - at, length);
        window.bytes(copy + begin - this.at, length).set(from);
      }
      at += chain.lengths[i];
    }
    chain.clear();
    chain.push(copy, bytes, false);
    this.#copy = copy;
    this.#copyBytes = size;
    this.at = 0;
    this.end = bytes;
  }

  /** Nothing of it is on its way any more. */
  clear(window: Window): void {
    if (this.#copyBytes > 0) window.free(this.#copy, this.#copyBytes);
    this.#copyBytes = 0;
    this.fds = NO_FDS;
    this.vfds = NO_VFDS;
    this.isAsked = false;
  }
}
