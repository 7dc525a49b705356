import type { InterruptController, SharedState, StateArena } from "../bus/mod.ts";
import { struct, u32, u64 } from "../codec/mod.ts";
import { Fd, OsError } from "../os/mod.ts";
import { PageBar } from "./doorbell_layout.ts";

/** What a slot does: raises its vector when its event is signalled, or signals its event when its page is written. */
export type DoorbellUse = "interrupt" | "page";

/** The slots of a doorbell function, as plain data. */
export interface DoorbellSlotsDescription {
  readonly count: number;
  /** Offset of their state. */
  readonly state: number;
}

const Use = { None: 0, Interrupt: 1, Page: 2 } as const;

const Slot = struct({
  use: u32,
  descriptor: u32,
  /** KVM has the page. */
  placed: u32,
  reserved: u32,
});

const Head = struct({ base: u64 });

/** Any width: on Intel hosts KVM then need not decode the instruction. */
const ANY_LENGTH = 0;

/**
 * Which slot has which event, and the ioeventfds of pages, which follow the BAR. Events are a peer's: they are kept open
 * by the control thread while they are bound, and neither read nor signalled. The caller holds the function's lock.
 */
export class DoorbellSlots {
  readonly count: number;
  readonly #head: ReturnType<typeof Head.at>;
  readonly #slots: readonly ReturnType<typeof Slot.at>[];
  readonly #controller: InterruptController;

  /** Sets state aside, with nothing bound. */
  static create(arena: StateArena, count: number): DoorbellSlotsDescription {
    return { count, state: arena.allocate(Head.size + count * Slot.size) };
  }

  constructor(
    state: SharedState,
    { count, state: at }: DoorbellSlotsDescription,
    controller: InterruptController,
  ) {
    this.count = count;
    this.#head = Head.at(state.view, at);
    this.#slots = Array.from(
      { length: count },
      (_, i) => Slot.at(state.view, at + Head.size + i * Slot.size),
    );
    this.#controller = controller;
  }

  isFree(slot: number): boolean {
    return slot < this.count && this.#slots[slot].use === Use.None;
  }

  /** The event of a slot that is bound. */
  event(slot: number): Fd {
    // deno-lint-ignore spectrum/no-raw-descriptor -- the control thread owns it and shared it through the state
    return Fd.borrow({ sharedDescriptor: this.#slots[slot].descriptor });
  }

  /** Binds a free slot. False when the host refuses its page; what a vector needs is up to MSI-X. */
  bind(slot: number, event: Fd, use: DoorbellUse): boolean {
    const bound = this.#slots[slot];
    // deno-lint-ignore spectrum/no-raw-descriptor -- other threads find it in the shared state, which holds numbers only
    bound.descriptor = event.share().sharedDescriptor;
    bound.use = use === "page" ? Use.Page : Use.Interrupt;
    if (this.#put(slot)) return true;
    bound.use = Use.None;
    return false;
  }

  /** Frees a slot that is bound. */
  unbind(slot: number): void {
    this.#take(slot);
    this.#slots[slot].use = Use.None;
  }

  /** After the state was replaced by a saved one: its events mean nothing here. */
  restored(): void {
    this.#head.base = 0;
    for (const slot of this.#slots) slot.use = slot.placed = 0;
  }

  /** The BAR of pages is at this guest-physical address now; 0 is nowhere. What the host refuses there does not ring. */
  move(base: number): void {
    if (base === this.#head.base) return;
    for (let i = 0; i < this.count; i++) this.#take(i);
    this.#head.base = base;
    for (let i = 0; i < this.count; i++) this.#put(i);
  }

  /** False when the host refuses a page. */
  #put(slot: number): boolean {
    const bound = this.#slots[slot];
    if (bound.use !== Use.Page || this.#head.base === 0) return true;
    if (!this.#change(slot, true)) return false;
    bound.placed = 1;
    return true;
  }

  #take(slot: number): void {
    const bound = this.#slots[slot];
    if (!bound.placed) return;
    bound.placed = 0;
    this.#change(slot, false);
  }

  #change(slot: number, assign: boolean): boolean {
    const address = this.#head.base + slot * PageBar.pageSize;
    try {
      this.#controller.ioeventfd({ address, length: ANY_LENGTH }, this.event(slot), assign);
      return true;
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      return false;
    }
  }
}
