import type { AccessSize, BusRange, IoDevice } from "./io_device.ts";

/** Two devices were given the same address while the machine was assembled. */
export class RangeConflict extends Error {
  override readonly name = "RangeConflict";
  constructor(readonly base: number, readonly size: number) {
    super(`Addresses from 0x${base.toString(16)}, ${size} bytes, are taken or out of range`);
  }
}

/**
 * Address decoding of one address space. Each thread has its own bus over its own device objects; the
 * ranges added here never move (what moves, BARs, is decoded by the device in whose range it lies).
 *
 * An access of any length and alignment is split into naturally aligned pieces that one device takes
 * whole. Where nobody answers, reads give all ones and writes go nowhere, both counted. No method
 * below `add` allocates or throws.
 */
export abstract class Bus {
  /** Sorted by address, not overlapping; parallel arrays, so that a search touches numbers only. */
  readonly #bases: number[] = [];
  readonly #ends: number[] = [];
  readonly #widths: AccessSize[] = [];
  readonly #devices: IoDevice[] = [];

  /** Reads and writes, piece by piece, that no device claimed on this thread. */
  unclaimedReads = 0;
  unclaimedWrites = 0;

  /** `limit` is the end of the address space. */
  protected constructor(readonly limit: number) {}

  /** Puts a device at a range. Throws RangeConflict. */
  add({ base, size, width = 4 }: BusRange, device: IoDevice): void {
    const end = base + size;
    const at = this.#bases.findIndex((other) => other > base);
    const index = at < 0 ? this.#bases.length : at;
    const overlaps = (index > 0 && this.#ends[index - 1] > base) ||
      (index < this.#bases.length && this.#bases[index] < end);
    if (overlaps || size <= 0 || base < 0 || end > this.limit) throw new RangeConflict(base, size);
    this.#bases.splice(index, 0, base);
    this.#ends.splice(index, 0, end);
    this.#widths.splice(index, 0, width);
    this.#devices.splice(index, 0, device);
  }

  /** Reads up to four bytes as an unsigned number. */
  read(address: number, size: AccessSize): number {
    let value = 0;
    for (let done = 0; done < size;) {
      const range = this.#find(address + done);
      const piece = this.#piece(range, address + done, size - done);
      value |= this.#readPiece(range, address + done, piece) << (8 * done);
      done += piece;
    }
    return value >>> 0;
  }

  /** Writes the low `size` bytes of `value`. */
  write(address: number, size: AccessSize, value: number): void {
    for (let done = 0; done < size;) {
      const range = this.#find(address + done);
      const piece = this.#piece(range, address + done, size - done);
      this.#writePiece(range, address + done, piece, value >>> (8 * done));
      done += piece;
    }
  }

  /** Reads `size` bytes (such as 8) into `view` at `at`, as the run page of a vCPU wants them. */
  readInto(address: number, size: number, view: DataView, at: number): void {
    for (let done = 0; done < size;) {
      const range = this.#find(address + done);
      const piece = this.#piece(range, address + done, size - done);
      const value = this.#readPiece(range, address + done, piece);
      if (piece === 4) view.setUint32(at + done, value, true);
      else if (piece === 2) view.setUint16(at + done, value, true);
      else view.setUint8(at + done, value);
      done += piece;
    }
  }

  /** Writes the `size` bytes of `view` at `at`. */
  writeFrom(address: number, size: number, view: DataView, at: number): void {
    for (let done = 0; done < size;) {
      const range = this.#find(address + done);
      const piece = this.#piece(range, address + done, size - done);
      const value = piece === 4
        ? view.getUint32(at + done, true)
        : piece === 2
        ? view.getUint16(at + done, true)
        : view.getUint8(at + done);
      this.#writePiece(range, address + done, piece, value);
      done += piece;
    }
  }

  /** Index of the range that holds `address`, -1 if none. */
  #find(address: number): number {
    let low = 0;
    let high = this.#bases.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#bases[middle] <= address) low = middle + 1;
      else high = middle;
    }
    return low > 0 && address < this.#ends[low - 1] ? low - 1 : -1;
  }

  /** The most bytes from `address` on that are aligned, wanted, and taken by one device at once. */
  #piece(range: number, address: number, left: number): AccessSize {
    // Unclaimed addresses go byte by byte: the next one may be claimed.
    if (range < 0) return 1;
    const width = this.#widths[range];
    const room = Math.min(left, this.#ends[range] - address);
    const offset = address - this.#bases[range];
    if (width === 4 && room >= 4 && offset % 4 === 0) return 4;
    if (width >= 2 && room >= 2 && offset % 2 === 0) return 2;
    return 1;
  }

  #readPiece(range: number, address: number, size: AccessSize): number {
    if (range < 0) {
      this.unclaimedReads++;
      return 0xff;
    }
    const value = this.#devices[range].read(address - this.#bases[range], size);
    return size === 4 ? value >>> 0 : size === 2 ? value & 0xffff : value & 0xff;
  }

  #writePiece(range: number, address: number, size: AccessSize, value: number): void {
    if (range < 0) {
      this.unclaimedWrites++;
      return;
    }
    const kept = size === 4 ? value >>> 0 : size === 2 ? value & 0xffff : value & 0xff;
    this.#devices[range].write(address - this.#bases[range], size, kept);
  }
}

/** The 65,536 I/O ports. */
export class PortBus extends Bus {
  constructor() {
    super(0x1_0000);
  }
}

/** Guest-physical memory addresses that no RAM backs. */
export class MmioBus extends Bus {
  constructor() {
    super(2 ** 52);
  }
}
