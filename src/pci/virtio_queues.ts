import type { SharedState } from "../bus/mod.ts";
import { MAX_QUEUE_SIZE, ringBytes } from "../virtio/mod.ts";
import { Fault, type FaultCode, QueueState } from "./virtio_state.ts";

/** A range of guest RAM. */
export interface RamRange {
  readonly guestAddress: number;
  readonly size: number;
}

/** One queue's registers. */
export type QueueView = ReturnType<typeof QueueState.at>;

/** Alignment of a split virtqueue's parts (virtio 1.2 §2.7). */
const ALIGN = { desc: 16, driver: 2, device: 4 } as const;

/** The queues of a virtio function. The caller holds the function's lock. */
export class VirtioQueues {
  readonly #views: readonly QueueView[];
  readonly #ram: readonly RamRange[];

  constructor(state: SharedState, offset: number, count: number, ram: readonly RamRange[]) {
    this.#views = Array.from(
      { length: count },
      (_, i) => QueueState.at(state.view, offset + i * QueueState.size),
    );
    this.#ram = ram;
  }

  /** The most there can be; how many there are is in the device's state. */
  get capacity(): number {
    return this.#views.length;
  }

  /** A queue below {@linkcode capacity}. */
  at(index: number): QueueView {
    return this.#views[index];
  }

  /** What is wrong with a queue that the driver wants to enable. */
  check(queue: QueueView): FaultCode {
    const { size, maxSize } = queue;
    if (size === 0 || size > maxSize || (size & (size - 1)) !== 0) return Fault.QueueSize;
    const bytes = ringBytes(size);
    const good = this.#inRam(queue.desc, bytes.desc, ALIGN.desc) &&
      this.#inRam(queue.driver, bytes.avail, ALIGN.driver) &&
      this.#inRam(queue.device, bytes.used, ALIGN.device);
    return good ? Fault.None : Fault.QueueAddress;
  }

  /** Whether all queues are as {@linkcode check} let a driver have them. */
  get sound(): boolean {
    return this.#views.every((queue) =>
      queue.maxSize <= MAX_QUEUE_SIZE && (!queue.enabled || this.check(queue) === Fault.None)
    );
  }

  /** All queues as a reset leaves them. */
  reset(): void {
    for (const queue of this.#views) {
      queue.size = queue.maxSize;
      queue.enabled = 0;
      queue.desc = queue.driver = queue.device = 0;
      queue.base = 0;
    }
  }

  /** Wholly inside one region. */
  #inRam(address: number, bytes: number, align: number): boolean {
    if (address % align !== 0) return false;
    for (const { guestAddress, size } of this.#ram) {
      if (address >= guestAddress && address + bytes <= guestAddress + size) return true;
    }
    return false;
  }
}
