import type { Fd, Owned } from "../os/mod.ts";
import type { DoorbellPci } from "./doorbell_pci.ts";
import type { DoorbellUse } from "./doorbell_slots.ts";

/** The control thread's side of the doorbell function: binds events to slots, and keeps them open meanwhile. */
export class DoorbellControl implements Disposable {
  readonly #pci: DoorbellPci;
  readonly #events = new Map<number, Owned<Fd>>();

  constructor(pci: DoorbellPci) {
    this.#pci = pci;
  }

  /**
   * Binds an event to a slot; it moves in here.
   *
   * @returns false when there is no such slot, it is taken, or the host refuses
   */
  bind(slot: number, event: Owned<Fd>, use: DoorbellUse): boolean {
    using kept = event.move();
    if (!this.#pci.bind(slot, kept, use)) return false;
    this.#events.set(slot, kept.move());
    return true;
  }

  /** Takes its event away from a slot. False when it has none. */
  unbind(slot: number): boolean {
    using event = this.#events.get(slot);
    if (event === undefined) return false;
    this.#events.delete(slot);
    this.#pci.unbind(slot);
    return true;
  }

  /** Takes all events away. */
  clear(): void {
    for (const slot of [...this.#events.keys()]) this.unbind(slot);
  }

  /** The machine is gone: closes the events. */
  [Symbol.dispose](): void {
    for (const event of this.#events.values()) event[Symbol.dispose]();
    this.#events.clear();
  }
}
