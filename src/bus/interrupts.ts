import type { Fd } from "../os/mod.ts";
import type { GsiRoute } from "../kvm/mod.ts";

/** One interrupt line of the machine. */
export interface InterruptLine {
  set(level: 0 | 1): void;
}

/** An address whose writes signal an eventfd without an exit to us. */
export interface DoorbellAddress {
  readonly address: number;
  /** Width of the write in bytes; 0 is any. */
  readonly length: number;
}

/** What devices ask of KVM's interrupt side; a `Vm` is one. Methods throw OsError when the host refuses. */
export interface InterruptController {
  irqLine(gsi: number, level: 0 | 1): void;
  irqfd(event: Fd, gsi: number, assign: boolean): void;
  ioeventfd(doorbell: DoorbellAddress, event: Fd, assign: boolean): void;
  setGsiRouting(routes: GsiRoute[]): void;
}

/** A line that is a GSI of KVM's interrupt controllers. */
export class GsiLine implements InterruptLine {
  readonly #controller: InterruptController;
  readonly #gsi: number;

  constructor(controller: InterruptController, gsi: number) {
    this.#controller = controller;
    this.#gsi = gsi;
  }

  set(level: 0 | 1): void {
    this.#controller.irqLine(this.#gsi, level);
  }
}
