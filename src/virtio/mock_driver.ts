/** For tests: the driver side of a split virtqueue, in plain memory, able to lie about everything. */

import { GuestMemory } from "../memory/mod.ts";
import { Desc, DescFlag, ringBytes } from "./ring_layout.ts";
import { Virtqueue, type VirtqueueOptions } from "./virtqueue.ts";

const PAGE = 4096;

/** Where the driver's memory is. */
export interface MockDriverOptions {
  readonly memoryBytes?: number;
  /** Memory to use instead of some of its own, and the window offset of guest address 0 in it. */
  readonly buffer?: ArrayBuffer;
  readonly base?: number;
  /** Where in guest memory its own part begins. */
  readonly from?: number;
  /** Indices of both rings at the start. */
  readonly start?: number;
}

/** A buffer that is where the driver says, in its own memory or not. */
export interface MockPlace {
  readonly address: number;
  readonly length: number;
  /** By the device. */
  readonly writable: boolean;
}

/** A buffer of a request: bytes that the device reads, or how many it may write, or one that is somewhere already. */
export type MockBuffer = Uint8Array | number | MockPlace;

/** A descriptor as it is written to memory. */
export interface MockDescriptor {
  readonly address: number;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

/** A request as the driver sees it: its head, and the guest address of each buffer. */
export interface MockRequest {
  readonly head: number;
  readonly addresses: number[];
}

export class MockDriver {
  readonly memory: GuestMemory;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  /** Where buffers may be put, in guest addresses. */
  readonly heap: number;
  /** Chains that the device has signalled. */
  signals = 0;
  readonly #base: number;
  #heapNext: number;
  #availIndex: number;
  #usedSeen: number;
  #freeDescriptors: number[];

  constructor(readonly size: number, options: MockDriverOptions = {}) {
    // Guest address 0 is not at 0, so that mixing up the two shows.
    const { memoryBytes = 2 ** 20, start = 0, base = PAGE, from = 0 } = options;
    const buffer = options.buffer ?? new ArrayBuffer(base + memoryBytes + PAGE);
    this.#base = base;
    this.view = new DataView(buffer);
    this.bytes = new Uint8Array(buffer, base, memoryBytes);
    const region = { guestAddress: 0, size: memoryBytes, windowOffset: base };
    this.memory = new GuestMemory({ buffer, view: this.view }, [region]);
    const parts = ringBytes(size);
    const align = (n: number) => Math.ceil(n / 16) * 16;
    this.desc = from + 16;
    this.avail = align(this.desc + parts.desc);
    this.used = align(this.avail + parts.avail);
    this.heap = this.#heapNext = align(this.used + parts.used);
    this.#availIndex = this.#usedSeen = start;
    this.view.setUint16(this.#base + this.avail + 2, start, true);
    this.view.setUint16(this.#base + this.used + 2, start, true);
    this.#freeDescriptors = Array.from({ length: size }, (_, i) => size - 1 - i);
  }

  /** The device's end of this queue. */
  queue(options: Partial<VirtqueueOptions> = {}): Virtqueue {
    return new Virtqueue({
      index: 0,
      memory: this.memory,
      rings: {
        size: this.size,
        desc: this.#base + this.desc,
        avail: this.#base + this.avail,
        used: this.#base + this.used,
      },
      eventIndex: true,
      indirect: true,
      base: this.#availIndex,
      signal: () => this.signals++,
      ...options,
    });
  }

  /** Guest address of fresh memory with these bytes in it, or of so many zeroes. Whole sectors and pages are aligned. */
  place(buffer: Uint8Array | number): number {
    const length = typeof buffer === "number" ? buffer : buffer.length;
    const align = length % PAGE === 0 ? PAGE : length % 512 === 0 ? 512 : 16;
    const at = Math.ceil(this.#heapNext / align) * align;
    this.#heapNext = at + Math.max(16, Math.ceil(length / 16) * 16);
    if (this.#heapNext > this.bytes.length) {
      throw new RangeError("The mock driver's memory is full");
    }
    if (typeof buffer !== "number") this.bytes.set(buffer, at);
    return at;
  }

  /** Gives all of that back; no request may be under way. */
  freePlaces(): void {
    this.#heapNext = this.heap;
  }

  writeDescriptor(at: number, { address, length, flags, next }: MockDescriptor): void {
    this.view.setBigUint64(this.#base + at, BigInt(address), true);
    this.view.setUint32(this.#base + at + Desc.length, length, true);
    this.view.setUint16(this.#base + at + Desc.flags, flags, true);
    this.view.setUint16(this.#base + at + Desc.flags + 2, next, true);
  }

  /**
   * Makes a request available: a chain in the queue's own table, or one indirect descriptor.
   *
   * @param options.fill what is in the bytes that the device may write
   */
  add(
    buffers: readonly MockBuffer[],
    options: { indirect?: boolean; fill?: number } = {},
  ): MockRequest {
    const { fill } = options;
    const places = buffers.map((buffer) => this.#placed(buffer, fill));
    const addresses = places.map((place) => place.address);
    const indirect = options.indirect === true;
    const indices = indirect ? buffers.map((_, i) => i) : buffers.map(() => this.#take());
    const table = indirect ? this.place(buffers.length * Desc.size) : this.desc;
    places.forEach(({ address, length, writable }, i) => {
      const last = i === buffers.length - 1;
      this.writeDescriptor(table + indices[i] * Desc.size, {
        address,
        length,
        flags: (writable ? DescFlag.Write : 0) | (last ? 0 : DescFlag.Next),
        next: last ? 0 : indices[i + 1],
      });
    });
    let head = indices[0];
    if (indirect) {
      head = this.#take();
      this.writeDescriptor(this.desc + head * Desc.size, {
        address: table,
        length: buffers.length * Desc.size,
        flags: DescFlag.Indirect,
        next: 0,
      });
    }
    this.makeAvailable(head);
    return { head, addresses };
  }

  #placed(buffer: MockBuffer, fill: number | undefined): MockPlace {
    if (typeof buffer === "number") {
      const bytes = fill === undefined ? buffer : new Uint8Array(buffer).fill(fill);
      return { address: this.place(bytes), length: buffer, writable: true };
    }
    if (!(buffer instanceof Uint8Array)) return buffer;
    return { address: this.place(buffer), length: buffer.length, writable: false };
  }

  /** Writes the next entry of the available ring. */
  makeAvailable(head: number): void {
    const slot = this.#availIndex % this.size;
    this.view.setUint16(this.#base + this.avail + 4 + 2 * slot, head, true);
    this.setAvailableIndex(this.#availIndex + 1);
  }

  setAvailableIndex(index: number): void {
    this.#availIndex = index & 0xffff;
    this.view.setUint16(this.#base + this.avail + 2, this.#availIndex, true);
  }

  set availableFlags(value: number) {
    this.view.setUint16(this.#base + this.avail, value, true);
  }

  set usedEvent(value: number) {
    this.view.setUint16(this.#base + this.avail + 4 + 2 * this.size, value & 0xffff, true);
  }

  get availableEvent(): number {
    return this.view.getUint16(this.#base + this.used + 4 + 8 * this.size, true);
  }

  get usedFlags(): number {
    return this.view.getUint16(this.#base + this.used, true);
  }

  get usedIndex(): number {
    return this.view.getUint16(this.#base + this.used + 2, true);
  }

  /** What the device has completed since the last call. Descriptors become free again. */
  takeUsed(): { head: number; written: number }[] {
    const taken: { head: number; written: number }[] = [];
    while (this.#usedSeen !== this.usedIndex) {
      const at = this.#base + this.used + 4 + 8 * (this.#usedSeen % this.size);
      const head = this.view.getUint32(at, true);
      taken.push({ head, written: this.view.getUint32(at + 4, true) });
      this.#usedSeen = (this.#usedSeen + 1) & 0xffff;
      this.#release(head);
    }
    return taken;
  }

  #take(): number {
    const index = this.#freeDescriptors.pop();
    if (index === undefined) throw new RangeError("The mock driver has no free descriptor");
    return index;
  }

  #release(head: number): void {
    for (let index = head, left = this.size; left > 0; left--) {
      this.#freeDescriptors.push(index);
      const at = this.#base + this.desc + index * Desc.size + Desc.flags;
      const flags = this.view.getUint16(at, true);
      if ((flags & DescFlag.Next) === 0 || (flags & DescFlag.Indirect) !== 0) return;
      index = this.view.getUint16(at + 2, true);
    }
  }
}
