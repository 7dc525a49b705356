import type { AccessSize, InterruptController, SharedState } from "../bus/mod.ts";
import { EventFd, type Fd } from "../os/mod.ts";
import { PageBar, VectorBar } from "./doorbell_layout.ts";
import {
  DoorbellSlots,
  type DoorbellSlotsDescription,
  type DoorbellUse,
} from "./doorbell_slots.ts";
import type { GsiRoutes } from "./gsi_routes.ts";
import { Msix, type MsixDescription, NO_VECTOR } from "./msix.ts";
import { type FunctionBase, PciFunction } from "./pci_function.ts";

/** The doorbell function, as plain data. */
export interface DoorbellPciDescription extends FunctionBase {
  readonly slots: DoorbellSlotsDescription;
  /** One vector per slot. */
  readonly msix: MsixDescription;
}

/** Position of the BAR of MSI-X among the function's. */
const VECTORS = 0;

/**
 * A PCI function by which events of other processes reach a guest, and it them, without one of ours in between: a slot's
 * vector is raised by an eventfd, or its page signals one.
 */
export class DoorbellPci extends PciFunction {
  readonly slots: DoorbellSlots;
  readonly #msix: Msix;
  readonly #capability: number;
  /** The host refused an interrupt. */
  #failed = false;

  constructor(
    state: SharedState,
    description: DoorbellPciDescription,
    { routes, controller }: {
      readonly routes: GsiRoutes;
      readonly controller: InterruptController;
    },
  ) {
    super(state, description);
    this.slots = new DoorbellSlots(state, description.slots, controller);
    this.#capability = description.msix.capability;
    this.#msix = new Msix(state, description.msix, {
      config: this.config,
      routes,
      controller,
      event: (source) => EventFd.borrow(this.slots.event(source)),
      areShared: true,
      failed: () => this.#failed = true,
    });
  }

  override restored(): void {
    super.restored();
    this.lock.run(() => {
      this.slots.restored();
      this.#msix.forgetSources();
      this.decodeChanged();
    });
  }

  /** Gives a slot an event, which stays open until {@linkcode unbind}. False when it is taken, or the host refuses. */
  bind(slot: number, event: Fd, use: DoorbellUse): boolean {
    return this.lock.run(() => {
      if (!this.slots.isFree(slot) || !this.slots.bind(slot, event, use)) return false;
      if (use === "page") return true;
      this.#failed = false;
      this.#msix.setVector(slot, slot);
      if (!this.#failed) return true;
      this.#free(slot);
      return false;
    });
  }

  /** Takes its event away from a slot. */
  unbind(slot: number): void {
    this.lock.run(() => this.#free(slot));
  }

  #free(slot: number): void {
    this.#msix.setVector(slot, NO_VECTOR);
    this.slots.unbind(slot);
  }

  protected override decodeChanged(): void {
    this.slots.move(this.config.decodes ? this.config.barAddress(PageBar.index) : 0);
  }

  protected override configWritten(offset: number, size: AccessSize): void {
    const control = this.#capability + 2;
    if (offset < control + 2 && offset + size > control) this.#msix.controlChanged();
  }

  /** Pages read as zero. */
  protected override readBar(bar: number, offset: number, size: AccessSize): number {
    if (bar !== VECTORS) return 0;
    return offset < VectorBar.pba
      ? this.#msix.readTable(offset - VectorBar.table, size)
      : this.#msix.readPba(offset - VectorBar.pba, size);
  }

  /** What is written to pages comes here only where there is no event. */
  protected override writeBar(bar: number, offset: number, size: AccessSize, value: number): void {
    if (bar === VECTORS && offset < VectorBar.pba) {
      this.#msix.writeTable(offset - VectorBar.table, size, value);
    }
  }
}
