import type { AccessSize, InterruptController, SharedState, StateArena } from "../bus/mod.ts";
import { struct, u16, u32 } from "../codec/mod.ts";
import { type EventFd, Events, pollOne } from "../os/mod.ts";
import type { ConfigSpace } from "./config_space.ts";
import type { GsiRoutes } from "./gsi_routes.ts";

/** An entry of the table, PCI 3.0 §6.8.2. */
const Entry = struct({ address: u32, addressHigh: u32, data: u32, control: u32 });
/** Vector control: masked. */
const MASKED = 1;
/** Message control, the word after id and link. */
const Control = { At: 2, Enable: 1 << 15, FunctionMask: 1 << 14 } as const;

/** What can raise an interrupt: its vector, and the GSI that its event is attached to (0 is none). */
const Source = struct({ vector: u16, reserved: u16, gsi: u32 });

/** Bytes of a table entry. */
export const MSIX_ENTRY_SIZE = Entry.size;
/** A source or queue without vector (VIRTIO_MSI_NO_VECTOR). */
export const NO_VECTOR = 0xffff;

/** A function's MSI-X state, as plain data. */
export interface MsixDescription {
  readonly vectors: number;
  /** The GSI of vector 0; the others follow. */
  readonly firstGsi: number;
  /** Number of events that can raise an interrupt. */
  readonly sources: number;
  readonly table: number;
  readonly sourceTable: number;
  /** Offset of the capability in configuration space. */
  readonly capability: number;
}

/** What MSI-X needs from outside. */
export interface MsixWiring {
  readonly config: ConfigSpace;
  readonly routes: GsiRoutes;
  readonly controller: InterruptController;
  /** The event of a source that has a vector; whoever signals it never learns about masks. */
  readonly event: (source: number) => EventFd;
  /** Others may read and fill the events: their counts are left alone, and one may raise an interrupt again. */
  readonly areShared?: boolean;
  /** An interrupt could not be wired up. */
  readonly failed: () => void;
}

/**
 * MSI-X (PCI 3.0 §6.8.2) by irqfd. Each source of interrupts is an eventfd; while its vector is unmasked
 * it is attached to the vector's GSI, and KVM delivers without us. Masking detaches it: signals stay in
 * the eventfd, are what the pending bit shows, and are delivered on unmasking. The caller holds the
 * function's lock.
 */
export class Msix {
  readonly #view: DataView;
  readonly #description: MsixDescription;
  readonly #wiring: MsixWiring;

  /** Sets state aside and puts it in reset state. */
  static create(
    arena: StateArena,
    plan: Pick<MsixDescription, "vectors" | "firstGsi" | "sources" | "capability">,
  ): MsixDescription {
    const table = arena.allocate(plan.vectors * Entry.size);
    const sourceTable = arena.allocate(plan.sources * Source.size);
    clear(arena.state.view, table, plan.vectors);
    for (let i = 0; i < plan.sources; i++) {
      Source.at(arena.state.view, sourceTable + i * Source.size).vector = NO_VECTOR;
    }
    return { ...plan, table, sourceTable };
  }

  constructor(state: SharedState, description: MsixDescription, wiring: MsixWiring) {
    this.#view = state.view;
    this.#description = description;
    this.#wiring = wiring;
  }

  /** After the state was replaced by a saved one: attaches the events of all sources whose vectors are live. */
  restored(): void {
    for (let i = 0; i < this.#description.sources; i++) {
      this.#source(i).gsi = 0;
      this.#update(i);
    }
  }

  /** After the state was replaced by one whose events are gone: no source has a vector. */
  forgetSources(): void {
    for (let i = 0; i < this.#description.sources; i++) {
      const source = this.#source(i);
      source.vector = NO_VECTOR;
      source.gsi = 0;
    }
  }

  /** Reads the table. */
  readTable(offset: number, size: AccessSize): number {
    if (offset + size > this.#description.vectors * Entry.size) return 0;
    const at = this.#description.table + offset;
    if (size === 1) return this.#view.getUint8(at);
    return size === 2 ? this.#view.getUint16(at, true) : this.#view.getUint32(at, true);
  }

  /** Writes the table, and attaches or detaches what the change concerns. */
  writeTable(offset: number, size: AccessSize, value: number): void {
    if (offset + size > this.#description.vectors * Entry.size) return;
    const at = this.#description.table + offset;
    if (size === 1) this.#view.setUint8(at, value);
    else if (size === 2) this.#view.setUint16(at, value, true);
    else this.#view.setUint32(at, value, true);
    const vector = Math.floor(offset / Entry.size);
    this.#rerouted(vector);
    for (let i = 0; i < this.#description.sources; i++) {
      if (this.vector(i) === vector) this.#update(i);
    }
  }

  /** Reads the pending bit array, which is not writable. */
  readPba(offset: number, size: AccessSize): number {
    let bits = 0;
    for (let bit = 0; bit < 8 * size; bit++) {
      if (this.#pending(8 * offset + bit)) bits |= 1 << bit;
    }
    return bits >>> 0;
  }

  /** The control word was written. */
  controlChanged(): void {
    for (let i = 0; i < this.#description.sources; i++) this.#update(i);
  }

  /** The vector of a source, NO_VECTOR if none. */
  vector(source: number): number {
    return this.#source(source).vector;
  }

  /** Gives a source a vector; one that does not exist means none, which reading it back tells. */
  setVector(source: number, vector: number): void {
    this.#source(source).vector = vector < this.#description.vectors ? vector : NO_VECTOR;
    this.#update(source);
  }

  /** Takes all vectors from the sources: the device, but not the function, is reset. */
  clearVectors(): void {
    for (let i = 0; i < this.#description.sources; i++) {
      if (this.vector(i) !== NO_VECTOR) this.setVector(i, NO_VECTOR);
    }
  }

  #source(index: number): ReturnType<typeof Source.at> {
    return Source.at(this.#view, this.#description.sourceTable + index * Source.size);
  }

  #entry(vector: number): ReturnType<typeof Entry.at> {
    return Entry.at(this.#view, this.#description.table + vector * Entry.size);
  }

  #live(vector: number): boolean {
    if (vector >= this.#description.vectors) return false;
    const control = this.#wiring.config.read(this.#description.capability + Control.At, 2);
    return (control & (Control.Enable | Control.FunctionMask)) === Control.Enable &&
      (this.#entry(vector).control & MASKED) === 0;
  }

  /** An entry that is in use was changed. */
  #rerouted(vector: number): void {
    const attached = this.#description.firstGsi + vector;
    for (let i = 0; i < this.#description.sources; i++) {
      if (this.#source(i).gsi === attached && this.#live(vector)) {
        if (!this.#route(vector)) this.#wiring.failed();
        return;
      }
    }
  }

  #route(vector: number): boolean {
    const { address, addressHigh, data } = this.#entry(vector);
    return this.#wiring.routes.set(
      this.#description.firstGsi + vector,
      address,
      addressHigh,
      data,
    );
  }

  /** Attaches or detaches the event of a source, as its vector now wants. */
  #update(index: number): void {
    const source = this.#source(index);
    const vector = source.vector;
    const wanted = this.#live(vector) ? this.#description.firstGsi + vector : 0;
    if (wanted === source.gsi) return;
    try {
      const event = this.#wiring.event(index);
      if (source.gsi !== 0) {
        const gsi = source.gsi;
        source.gsi = 0;
        this.#wiring.controller.irqfd(event.fd, gsi, false);
      }
      if (wanted !== 0) {
        if (!this.#route(vector)) return this.#wiring.failed();
        // KVM would deliver what is pending, but leave the count; the next mask would show it again.
        const pending = !this.#wiring.areShared && event.drain() > 0;
        this.#wiring.controller.irqfd(event.fd, wanted, true);
        source.gsi = wanted;
        if (pending) event.signal();
      }
    } catch {
      this.#wiring.failed();
    }
  }

  #pending(vector: number): boolean {
    for (let i = 0; i < this.#description.sources; i++) {
      const source = this.#source(i);
      if (source.vector !== vector || source.gsi !== 0) continue;
      if (pollOne(this.#wiring.event(i).fd, Events.In, 0) > 0) return true;
    }
    return false;
  }
}

/** All vectors masked. */
function clear(view: DataView, table: number, vectors: number): void {
  for (let i = 0; i < vectors; i++) {
    const entry = Entry.at(view, table + i * Entry.size);
    entry.address = entry.addressHigh = entry.data = 0;
    entry.control = MASKED;
  }
}
