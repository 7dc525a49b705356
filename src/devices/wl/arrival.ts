import type { InQueue } from "./in_queue.ts";
import type { Vfd } from "./vfd.ts";

const NONE: readonly Vfd[] = [];

/** A message from the host with descriptors, on its way to the guest, who learns of each descriptor first. */
export class Arrival {
  readonly #vfds: readonly Vfd[];
  readonly #data: Uint8Array;
  readonly #announce: (vfd: Vfd, queue: InQueue) => void;
  #announced = 0;
  #delivered = 0;

  /**
   * @param vfds that the guest does not know
   * @param data at least one byte
   * @param announce makes one the guest's, in a buffer that was taken
   */
  constructor(
    vfds: readonly Vfd[],
    data: Uint8Array,
    announce: (vfd: Vfd, queue: InQueue) => void,
  ) {
    this.#vfds = vfds;
    this.#data = data;
    this.#announce = announce;
  }

  /** The guest has heard nothing of it. */
  get isUnknown(): boolean {
    return this.#announced === 0;
  }

  /** Delivers all that there are buffers for. True when that was the end of it. */
  deliver(queue: InQueue, over: Vfd): boolean {
    const vfds = this.#vfds, data = this.#data;
    for (; this.#announced < vfds.length; this.#announced++) {
      if (!queue.take()) return false;
      this.#announce(vfds[this.#announced], queue);
    }
    while (this.#delivered < data.length) {
      if (!queue.take()) return false;
      const begin = this.#delivered;
      const ids = begin === 0 ? vfds : NONE;
      this.#delivered = Math.min(begin + queue.room(ids.length), data.length);
      queue.receive(over, ids, data.subarray(begin, this.#delivered));
    }
    return true;
  }

  /** It is not delivered any further. */
  drop(): void {
    for (const vfd of this.#vfds.slice(this.#announced)) vfd.close();
  }
}
