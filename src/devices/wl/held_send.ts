import type { Fd, IoVector, Owned } from "../../os/mod.ts";
import type { DescriptorChain } from "../../virtio/mod.ts";

/** A SEND on its way to the host: what of its data has not been taken yet. */
export class HeldSend {
  /** Bytes of the chain that are behind us: its head, and data that was taken. */
  #done: number;
  readonly #end: number;
  #fds: readonly Fd[];
  #owned: readonly Owned<Fd>[] = [];

  /**
   * @param head bytes before the data
   * @param fds to go with the first byte; they stay the caller's until {@linkcode keep}
   */
  constructor(readonly chain: DescriptorChain, head: number, fds: readonly Fd[]) {
    this.#done = head;
    this.#end = chain.readableBytes;
    this.#fds = fds;
  }

  get finished(): boolean {
    return this.#done === this.#end;
  }

  /** What is to go with the next byte. */
  get fds(): readonly Fd[] {
    return this.#fds;
  }

  /** Puts the next bytes into a vector, at most so many. */
  gather(vector: IoVector, most: number): void {
    const { chain } = this;
    vector.clear();
    let skip = this.#done;
    for (let i = 0; i < chain.readableCount && vector.bytes < most; i++) {
      const length = chain.lengths[i];
      if (skip >= length) {
        skip -= length;
        continue;
      }
      const piece = Math.min(length - skip, most - vector.bytes);
      if (!vector.push(chain.offsets[i] + skip, piece)) return;
      skip = 0;
    }
  }

  /** So many bytes were taken, and with the first of them the descriptors. */
  taken(bytes: number): void {
    this.#done += bytes;
    this.release();
    this.#fds = [];
  }

  /** It waits: the guest may close the descriptors meanwhile. */
  keep(): void {
    this.#owned = this.#fds.map((fd) => fd.dup());
    this.#fds = this.#owned;
  }

  /** Closes what it kept. */
  release(): void {
    for (const fd of this.#owned) fd[Symbol.dispose]();
    this.#owned = [];
  }
}
