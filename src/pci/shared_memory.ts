import type { SharedState } from "../bus/mod.ts";
import { struct, u32, u64 } from "../codec/mod.ts";
import type { MemorySlot } from "../kvm/mod.ts";

/** What shared memory asks of KVM; a `Vm` is one. Throws OsError when the host refuses. */
export interface MemorySlots {
  setMemoryRegion(slot: MemorySlot): void;
}

/** Memory of this process at a place in a shared memory region. All in bytes, multiples of the page size. */
export interface SharedMapping {
  readonly region: number;
  readonly offset: number;
  readonly length: number;
  /** Address in this process. */
  readonly userAddress: number;
  readonly writable: boolean;
}

/** The shared memory regions (virtio 1.2 §2.10) of a function, as plain data. They share one BAR. */
export interface SharedMemoryDescription {
  /** Where in the BAR each region begins, and its size; by region id. */
  readonly regions: readonly { readonly start: number; readonly size: number }[];
  /** Offset of the table of mappings in shared state. */
  readonly table: number;
  readonly capacity: number;
  /** The first of `capacity` memory slots of the machine. */
  readonly firstSlot: number;
}

/** Guest-physical pages of 2 MiB are possible where addresses agree in this. */
const LARGE_PAGE = 2 ** 21;

const Kind = { None: 0, ReadOnly: 1, Writable: 2 } as const;

const Entry = struct({
  kind: u32,
  /** KVM has it. */
  placed: u32,
  /** Where in the BAR it begins. */
  place: u64,
  length: u64,
  userAddress: u64,
});

const Head = struct({ base: u64 });

/** BAR and regions for regions of such sizes. */
export function layOutSharedMemory(
  sizes: readonly number[],
): { regions: SharedMemoryDescription["regions"]; barSize: number } {
  let end = 0;
  const regions = sizes.map((size) => {
    const start = end;
    end = Math.ceil((start + size) / LARGE_PAGE) * LARGE_PAGE;
    return { start, size };
  });
  return { regions, barSize: 2 ** Math.ceil(Math.log2(end)) };
}

/**
 * What is mapped in a function's shared memory. Mappings follow the BAR; what the host refuses is not there for the
 * guest. The caller holds the function's lock.
 */
export class SharedMemory {
  readonly #description: SharedMemoryDescription;
  readonly #head: ReturnType<typeof Head.at>;
  readonly #entries: readonly ReturnType<typeof Entry.at>[];
  readonly #slots: MemorySlots;

  /** Bytes of shared state for so many mappings. */
  static stateSize(capacity: number): number {
    return Head.size + capacity * Entry.size;
  }

  constructor(state: SharedState, description: SharedMemoryDescription, slots: MemorySlots) {
    this.#description = description;
    this.#slots = slots;
    const { table, capacity } = description;
    this.#head = Head.at(state.view, table);
    this.#entries = Array.from(
      { length: capacity },
      (_, i) => Entry.at(state.view, table + Head.size + i * Entry.size),
    );
  }

  /** Shows memory to the guest. False when it is not wholly inside its region, overlaps, or the host refuses. */
  map({ region, offset, length, userAddress, writable }: SharedMapping): boolean {
    const start = this.#place(region, offset, length);
    if (start === undefined || this.#overlaps(start, length)) return false;
    const index = this.#entries.findIndex((entry) => entry.kind === Kind.None);
    if (index < 0) return false;
    const entry = this.#entries[index];
    entry.kind = writable ? Kind.Writable : Kind.ReadOnly;
    entry.place = start;
    entry.length = length;
    entry.userAddress = userAddress;
    if (this.#head.base === 0 || this.#put(index)) return true;
    entry.kind = Kind.None;
    return false;
  }

  /** The guest-physical address of a place in a region, undefined while the BAR is nowhere or when there is no such place. */
  address(region: number, offset: number): number | undefined {
    const start = this.#place(region, offset, 1);
    const { base } = this.#head;
    return base === 0 || start === undefined ? undefined : base + start;
  }

  /** Takes a whole mapping away; its address in this process, undefined when there is none like it. */
  unmap(region: number, offset: number, length: number): number | undefined {
    const start = this.#place(region, offset, length);
    const index = this.#entries.findIndex((entry) =>
      entry.kind !== Kind.None && entry.place === start && entry.length === length
    );
    if (index < 0) return undefined;
    this.#take(index);
    this.#entries[index].kind = Kind.None;
    return this.#entries[index].userAddress;
  }

  /** After the state was replaced by a saved one: its addresses mean nothing here. */
  restored(): void {
    this.#head.base = 0;
    for (const entry of this.#entries) entry.kind = entry.placed = 0;
  }

  /** Takes all mappings away. */
  clear(): void {
    for (const [i, entry] of this.#entries.entries()) {
      this.#take(i);
      entry.kind = Kind.None;
    }
  }

  /** The BAR is at this guest-physical address now; 0 is nowhere. False when the host refuses some of it. */
  move(base: number): boolean {
    if (base === this.#head.base) return true;
    for (const i of this.#entries.keys()) this.#take(i);
    this.#head.base = base;
    if (base === 0) return true;
    let done = true;
    for (const [i, { kind }] of this.#entries.entries()) {
      if (kind !== Kind.None && !this.#put(i)) done = false;
    }
    return done;
  }

  /** Where in the BAR a part of a region is. */
  #place(region: number, offset: number, length: number): number | undefined {
    const place = this.#description.regions[region];
    const inside = place !== undefined && length > 0 && offset + length <= place.size;
    return inside ? place.start + offset : undefined;
  }

  #overlaps(start: number, length: number): boolean {
    return this.#entries.some((entry) =>
      entry.kind !== Kind.None && start < entry.place + entry.length &&
      entry.place < start + length
    );
  }

  #put(index: number): boolean {
    const entry = this.#entries[index];
    try {
      this.#slots.setMemoryRegion({
        slot: this.#description.firstSlot + index,
        guestAddress: this.#head.base + entry.place,
        size: entry.length,
        userAddress: entry.userAddress,
        readonly: entry.kind === Kind.ReadOnly,
      });
    } catch {
      return false;
    }
    entry.placed = 1;
    return true;
  }

  #take(index: number): void {
    const entry = this.#entries[index];
    if (!entry.placed) return;
    const slot = this.#description.firstSlot + index;
    this.#slots.setMemoryRegion({ slot, guestAddress: 0, size: 0, userAddress: 0 });
    entry.placed = 0;
  }
}
