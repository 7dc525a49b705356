import { type Fd, fdKind, type Owned } from "../os/mod.ts";
import type { DoorbellControl, DoorbellUse } from "../pci/mod.ts";

type Control = Pick<DoorbellControl, "bind" | "unbind" | "clear">;

/** What the worker of a VM's Wayland device may ask: events that ring in the guest, and that the guest rings. */
export interface DoorbellClient {
  /**
   * Binds an event to a slot; it moves in here.
   *
   * @returns why not, if it cannot be
   */
  bind(slot: number, event: Owned<Fd>, use: DoorbellUse): string | undefined;
  unbind(slot: number): void;
}

/** Lets workers, one after the other, use the doorbells of machines, one after the other. */
export class DoorbellHost {
  #control: Control | undefined;
  #client: DoorbellClient | undefined;

  /** @param slots of the doorbell function that the machines are to have */
  constructor(readonly slots: number) {}

  /** The machine that there is now, if it has doorbells. */
  attach(control: Control | undefined): void {
    this.#control = control;
  }

  /** What a new worker may ask; those before it are not heard any more. */
  open(): DoorbellClient {
    this.end();
    const client: DoorbellClient = {
      bind: (slot, event, use) => {
        using kept = event.move();
        return this.#client === client ? this.#bind(slot, kept, use) : "its device is gone";
      },
      unbind: (slot) => {
        if (this.#client === client) this.#control?.unbind(slot);
      },
    };
    return this.#client = client;
  }

  /** Takes all events away: the driver has reset the device. */
  clear(): void {
    this.#control?.clear();
  }

  /** The worker is gone, though what it said last may still be on its way. */
  end(): void {
    this.#client = undefined;
    this.clear();
  }

  #bind(slot: number, event: Owned<Fd>, use: DoorbellUse): string | undefined {
    if (this.#control === undefined) return "there are no doorbells";
    // KVM would take some other files, too.
    if (fdKind(event) !== "event") return "it is no event";
    return this.#control.bind(slot, event.move(), use)
      ? undefined
      : `slot ${slot} is taken or does not exist, or the host refuses`;
  }
}
