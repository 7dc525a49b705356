import type { SharedState } from "../bus/mod.ts";
import { Fault, type FaultCode, QueueState } from "./virtio_state.ts";

/** A range of guest RAM. */
export interface RamRange {
  readonly guestAddress: number;
  readonly size: number;
}

/** One queue's registers. */
export type QueueView = ReturnType<typeof QueueState.at>;

/** Bytes of a split virtqueue's parts by queue size, and their alignment (virtio 1.2 §2.7). */
const DESC = { each: 16, fixed: 0, align: 16 } as const;
const DRIVER = { each: 2, fixed: 6, align: 2 } as const;
const DEVICE = { each: 8, fixed: 6, align: 4 } as const;

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
    const good = this.#inRam(queue.desc, size, DESC) && this.#inRam(queue.driver, size, DRIVER) &&
      this.#inRam(queue.device, size, DEVICE);
    return good ? Fault.None : Fault.QueueAddress;
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

  #inRam(address: number, entries: number, part: typeof DESC | typeof DRIVER | typeof DEVICE) {
    if (address % part.align !== 0) return false;
    const end = address + part.fixed + part.each * entries;
    for (const { guestAddress, size } of this.#ram) {
      if (address >= guestAddress && end <= guestAddress + size) return true;
    }
    return false;
  }
}
