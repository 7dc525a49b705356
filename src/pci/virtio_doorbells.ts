import type { InterruptController } from "../bus/mod.ts";
import type { EventFd } from "../os/mod.ts";
import { DOORBELL_STRIDE } from "./virtio_layout.ts";
import type { VirtioQueues } from "./virtio_queues.ts";

/** Any width: on Intel hosts KVM then need not decode the instruction. */
const ANY_LENGTH = 0;

/**
 * The ioeventfds of a function's enabled queues. They follow the BAR; where the host refuses one, the
 * write exits to us and is passed on by hand. The caller holds the function's lock.
 */
export class VirtioDoorbells {
  readonly #queues: VirtioQueues;
  readonly #kicks: readonly EventFd[];
  readonly #controller: InterruptController;
  readonly #failed: () => void;

  constructor(
    queues: VirtioQueues,
    kicks: readonly EventFd[],
    controller: InterruptController,
    failed: () => void,
  ) {
    this.#queues = queues;
    this.#kicks = kicks;
    this.#controller = controller;
    this.#failed = failed;
  }

  /** Moves all doorbells from `from` to `to`, addresses of the first one; 0 is nowhere. */
  move(from: number, to: number): void {
    if (from === to) return;
    for (let i = 0; i < this.#queues.capacity; i++) {
      const queue = this.#queues.at(i);
      if (queue.doorbell) {
        queue.doorbell = 0;
        this.#change(from, i, false);
      }
      if (to !== 0 && queue.enabled && this.#change(to, i, true)) queue.doorbell = 1;
    }
  }

  #change(base: number, index: number, assign: boolean): boolean {
    const address = base + index * DOORBELL_STRIDE;
    try {
      this.#controller.ioeventfd({ address, length: ANY_LENGTH }, this.#kicks[index].fd, assign);
      return true;
    } catch {
      this.#failed();
      return false;
    }
  }
}
