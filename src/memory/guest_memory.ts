import type { Window } from "../os/mod.ts";
import { GuestFault } from "./guest_fault.ts";

/** A piece of guest memory. All in bytes. */
export interface MemoryRegion {
  readonly guestAddress: number;
  readonly size: number;
  /** Where it is mapped in the window. */
  readonly windowOffset: number;
}

/** Entries per region in the flat table: start, end, and what to add to get the window offset. */
const STRIDE = 3;

/**
 * The memory of a guest as this process sees it: some regions, mapped into the window.
 * A peer may write to all of it at any time; read a field once and check what was read.
 */
export class GuestMemory {
  /** Of the whole window: offsets are what {@link translate} returns. */
  readonly view: DataView;
  /** In order of guest addresses. */
  readonly regions: readonly MemoryRegion[];
  readonly #buffer: ArrayBuffer;
  readonly #table: Float64Array;

  /** @throws RangeError when regions overlap, are empty, or reach past 2^53 */
  constructor(window: Pick<Window, "buffer" | "view">, regions: readonly MemoryRegion[]) {
    this.view = window.view;
    this.#buffer = window.buffer;
    this.regions = [...regions].sort((a, b) => a.guestAddress - b.guestAddress);
    this.#table = new Float64Array(this.regions.length * STRIDE);
    let free = 0;
    for (const [i, { guestAddress, size, windowOffset }] of this.regions.entries()) {
      const end = guestAddress + size;
      if (!(guestAddress >= free && size > 0 && Number.isSafeInteger(end))) {
        throw new RangeError(
          `Bad memory region of ${size} bytes at 0x${guestAddress.toString(16)}`,
        );
      }
      this.#table.set([guestAddress, end, windowOffset - guestAddress], i * STRIDE);
      free = end;
    }
  }

  /**
   * Where a range of guest memory is in the window.
   *
   * @param guestAddress any number, also a hostile one
   * @param length in bytes; 0 asks for the address alone
   * @returns the window offset, or -1 when the range is not wholly inside one region
   */
  translate(guestAddress: number, length: number): number {
    const table = this.#table;
    for (let i = 0; i < table.length; i += STRIDE) {
      if (guestAddress >= table[i] && guestAddress < table[i + 1]) {
        return length >= 0 && length <= table[i + 1] - guestAddress
          ? guestAddress + table[i + 2]
          : -1;
      }
    }
    return -1;
  }

  /** How many bytes there are from an address to the end of its region; 0 when it is in none. */
  reach(guestAddress: number): number {
    const table = this.#table;
    for (let i = 0; i < table.length; i += STRIDE) {
      if (guestAddress >= table[i] && guestAddress < table[i + 1]) {
        return table[i + 1] - guestAddress;
      }
    }
    return 0;
  }

  /**
   * The bytes of a range, in place.
   *
   * @throws GuestFault when it is not wholly inside one region
   */
  bytes(guestAddress: number, length: number): Uint8Array<ArrayBuffer> {
    const offset = this.translate(guestAddress, length);
    if (offset < 0) throw new GuestFault(guestAddress, length);
    return new Uint8Array(this.#buffer, offset, length);
  }

  /**
   * Copies bytes into guest memory.
   *
   * @throws GuestFault as for {@link bytes}; then nothing was written
   */
  write(guestAddress: number, bytes: Uint8Array): void {
    this.bytes(guestAddress, bytes.length).set(bytes);
  }

  /**
   * A copy of a range of guest memory.
   *
   * @throws GuestFault as for {@link bytes}
   */
  read(guestAddress: number, length: number): Uint8Array<ArrayBuffer> {
    return this.bytes(guestAddress, length).slice();
  }
}
