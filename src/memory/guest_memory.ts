import type { Window } from "../os/mod.ts";
import { GuestFault } from "./guest_fault.ts";

/** A piece of guest memory. All in bytes. */
export interface MemoryRegion {
  readonly guestAddress: number;
  readonly size: number;
  /** Where it is mapped in the window. */
  readonly windowOffset: number;
  /** False where it is mapped to be read only. */
  readonly writable?: boolean;
}

/** Entries per region in the flat table: start, and those at the places below. */
const STRIDE = 4;
const END = 1;
/** What to add to a guest address to get the window offset. */
const DELTA = 2;
const WRITABLE = 3;

/**
 * The memory of a guest as this process sees it: regions, mapped into the window. It may grow and shrink, in place, between
 * two requests. A peer may write to all of it at any time; read a field once and check what was read.
 */
export class GuestMemory {
  /** Of the whole window: offsets are what {@link translate} returns. */
  readonly view: DataView;
  readonly #buffer: ArrayBuffer;
  /** By guest addresses; zeroes behind them are room for more. */
  #table = new Float64Array(2 * STRIDE);
  #count = 0;

  /** @throws RangeError as {@link add} */
  constructor(window: Pick<Window, "buffer" | "view">, regions: readonly MemoryRegion[]) {
    this.view = window.view;
    this.#buffer = window.buffer;
    for (const region of regions) this.add(region);
  }

  /** In order of guest addresses. */
  get regions(): MemoryRegion[] {
    return Array.from({ length: this.#count }, (_, i) => {
      const [guestAddress, end, delta, writable] = this.#table.subarray(i * STRIDE);
      return {
        guestAddress,
        size: end - guestAddress,
        windowOffset: guestAddress + delta,
        writable: writable !== 0,
      };
    });
  }

  /** @throws RangeError when a region is empty, reaches past 2^53, or overlaps another; then nothing has changed */
  add({ guestAddress, size, windowOffset, writable = true }: MemoryRegion): void {
    const end = guestAddress + size;
    const at = this.#above(guestAddress) * STRIDE;
    const used = this.#count * STRIDE;
    const from = at === 0 ? 0 : this.#table[at - STRIDE + END];
    const to = at === used ? Number.MAX_SAFE_INTEGER : this.#table[at];
    if (!(guestAddress >= from && size > 0 && end <= to)) {
      throw new RangeError(
        `Bad memory region of ${size} bytes at 0x${guestAddress.toString(16)}`,
      );
    }
    if (used === this.#table.length) {
      const larger = new Float64Array(2 * used);
      larger.set(this.#table);
      this.#table = larger;
    }
    this.#table.copyWithin(at + STRIDE, at, used);
    this.#table.set([guestAddress, end, windowOffset - guestAddress, writable ? 1 : 0], at);
    this.#count++;
  }

  /** Forgets the region that begins there. Who holds offsets of it must be done with them. */
  remove(guestAddress: number): void {
    const at = (this.#above(guestAddress) - 1) * STRIDE;
    if (at < 0 || this.#table[at] !== guestAddress) {
      throw new RangeError(`No memory region begins at 0x${guestAddress.toString(16)}`);
    }
    this.#table.copyWithin(at, at + STRIDE, this.#count * STRIDE);
    this.#count--;
    this.#table.fill(0, this.#count * STRIDE, (this.#count + 1) * STRIDE);
  }

  /**
   * Where a range of guest memory is in the window.
   *
   * @param guestAddress any number, also a hostile one
   * @param length in bytes; 0 asks for the address alone
   * @param write whether it will be written to
   * @returns the window offset, or -1 when the range is not wholly inside one region, or only to be read
   */
  translate(guestAddress: number, length: number, write = false): number {
    const table = this.#table;
    const at = this.#find(guestAddress);
    if (at < 0 || !(length >= 0 && length <= table[at + END] - guestAddress)) return -1;
    if (write && table[at + WRITABLE] === 0) return -1;
    return guestAddress + table[at + DELTA];
  }

  /** How many bytes there are from an address to the end of its region; 0 when it is in none. */
  reach(guestAddress: number): number {
    const at = this.#find(guestAddress);
    return at < 0 ? 0 : this.#table[at + END] - guestAddress;
  }

  /** The place in the table of the region that an address is in; -1 when it is in none. */
  #find(guestAddress: number): number {
    const table = this.#table;
    // The first two are RAM, where almost everything is.
    if (guestAddress >= table[0] && guestAddress < table[END]) return 0;
    if (guestAddress >= table[STRIDE] && guestAddress < table[STRIDE + END]) return STRIDE;
    const at = (this.#above(guestAddress) - 1) * STRIDE;
    return at >= 0 && guestAddress < table[at + END] ? at : -1;
  }

  /** How many regions begin at an address or before. */
  #above(guestAddress: number): number {
    const table = this.#table;
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (table[middle * STRIDE] <= guestAddress) low = middle + 1;
      else high = middle;
    }
    return low;
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
   * @throws GuestFault as for {@link bytes}, or when it is only to be read; then nothing was written
   */
  write(guestAddress: number, bytes: Uint8Array): void {
    const offset = this.translate(guestAddress, bytes.length, true);
    if (offset < 0) throw new GuestFault(guestAddress, bytes.length);
    new Uint8Array(this.#buffer, offset, bytes.length).set(bytes);
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
