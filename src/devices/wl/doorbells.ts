import type { Fd } from "../../os/mod.ts";
import { WlFlag, WlResponse } from "../../virtio/mod.ts";
import type { EventVfd } from "./event_vfd.ts";

/** Whether the guest reads an event, which then raises the vector of a slot, or writes it, by the page of one. */
export type DoorbellDirection = "read" | "write";

/** The doorbell function of the guest's machine, which is the monitor's. */
export interface DoorbellFunction {
  readonly slots: number;
  /**
   * Binds an event, which stays the caller's, to a slot.
   *
   * @returns `unknown` when the monitor does not say in time; it may still do it
   */
  bind(slot: number, event: Fd, direction: DoorbellDirection): "bound" | "refused" | "unknown";
  /** Frees a slot before anything that is bound afterwards. */
  unbind(slot: number): void;
}

/** The events of a guest that cross without us. */
export class Doorbells {
  readonly #function: DoorbellFunction | undefined;
  readonly #taken = new Set<number>();

  constructor(pci: DoorbellFunction | undefined) {
    this.#function = pci;
  }

  get isOffered(): boolean {
    return this.#function !== undefined;
  }

  /** DOORBELL: the response. */
  bind(event: EventVfd, slot: number, flags: number): number {
    const pci = this.#function;
    if (pci === undefined) return WlResponse.InvalidCommand;
    if (flags !== WlFlag.Read && flags !== WlFlag.Write) return WlResponse.InvalidFlags;
    const direction = flags === WlFlag.Read ? "read" : "write";
    const { eventFd, bells } = event;
    if (eventFd === undefined || bells[direction] !== undefined) return WlResponse.Error;
    if (slot >= pci.slots || this.#taken.has(slot)) return WlResponse.Error;
    // What comes from here on is the guest's by its vector; KVM looks at what there is already.
    if (direction === "read") event.leave();
    const outcome = pci.bind(slot, eventFd, direction);
    if (outcome === "bound") {
      this.#taken.add(slot);
      bells[direction] = slot;
      return WlResponse.Ok;
    }
    if (outcome === "unknown") pci.unbind(slot);
    if (direction === "read") {
      // Its counts may go where nobody sees them: better an end than a ring that is lost.
      if (outcome === "unknown") event.abandon();
      else event.comeBack();
    }
    return WlResponse.Error;
  }

  /** The guest closes an event. */
  release({ bells }: EventVfd): void {
    for (const slot of [bells.read, bells.write]) {
      if (slot === undefined) continue;
      this.#function?.unbind(slot);
      this.#taken.delete(slot);
    }
    bells.read = bells.write = undefined;
  }

  /** The driver has reset the device: the monitor has freed all slots. */
  forget(): void {
    this.#taken.clear();
  }
}
