/** For tests: a guest that makes chains available as chance has it, lies about them, and sees what a device writes. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Chance, type Dice } from "../../tests/fuzz/mod.ts";
import { GuestMemory } from "../memory/mod.ts";
import { Poller } from "../os/mod.ts";
import { DescFlag, type VirtioDevice, Virtqueue } from "../virtio/mod.ts";
import { tidy } from "./fuzzing.ts";
import { window } from "./testing.ts";

/** Of each guest, from guest address 0 on. */
export const MEMORY = 2 ** 19;
export const QUEUE_SIZE = 256;
/** Guest addresses: of the parts of each queue, of indirect tables, of everything else. */
export const QUEUE_PLACES = 0x4000;
export const AVAIL = 0x1000;
export const USED = 0x2000;
const TABLES = 0x10000;
export const DATA = 0x50000;
/** Bytes of a descriptor. */
export const DESC = 16;
/** Descriptors of an indirect table; each head has one of its own, since a device may look at it late. */
const TABLE_SIZE = 20;
/** Pieces of a long chain. */
const LONG = 70;
/** What is in memory at first. */
const CONTENT = new Chance(1).tape(MEMORY - DATA);

/** A piece of a chain: guest address, length, and whether the device may write it. */
export type Piece = readonly [number, number, boolean];

/** What a guest has made available. */
interface Offered {
  readonly descriptors: number[];
  /** Pairs of guest address and length that the device may write. */
  readonly writable: number[];
}

/** One queue of a guest, which keeps in mind what the device may do. */
export class FuzzQueue {
  queue: Virtqueue;
  readonly offered = new Map<number, Offered>();
  /** It may have overwritten its own rings. */
  isSpoilt = false;
  /** A descriptor may lead into any other that is still in the tables. */
  hasLied = false;
  readonly #free: number[] = [];
  readonly #place: number;
  #available = 0;
  #seen = 0;

  constructor(
    readonly index: number,
    /** Which of the queues of its guest it is. */
    readonly slot: number,
    private readonly guest: FuzzGuest,
  ) {
    this.#place = slot * QUEUE_PLACES;
    this.queue = this.restart();
  }

  /** Sets the queue up anew, as a driver does that has broken it. */
  restart(): Virtqueue {
    const { guest } = this;
    guest.bytes.fill(0, this.#place, this.#place + QUEUE_PLACES);
    this.offered.clear();
    this.isSpoilt = this.hasLied = false;
    this.#free.splice(0, Infinity, ...Array(QUEUE_SIZE).keys());
    this.#available = this.#seen = 0;
    const at = guest.base + this.#place;
    return this.queue = new Virtqueue({
      index: this.index,
      memory: guest.memory,
      rings: { size: QUEUE_SIZE, desc: at, avail: at + AVAIL, used: at + USED },
      eventIndex: guest.dice.once(2),
      indirect: true,
      base: 0,
      signal: () => {},
    });
  }

  get room(): number {
    return this.#free.length;
  }

  /** Makes a chain available. */
  offer(pieces: readonly Piece[]): void {
    const { guest } = this;
    const { dice } = guest;
    const indirect = pieces.length <= TABLE_SIZE && dice.once(3);
    const count = indirect ? 1 : pieces.length;
    const descriptors = this.#free.splice(-count);
    const writable: number[] = [];
    const own = TABLES + (this.slot * QUEUE_SIZE + descriptors[0]) * TABLE_SIZE * DESC;
    const table = indirect ? own : this.#place;
    for (const [i, [address, length, write]] of pieces.entries()) {
      const index = indirect ? i : descriptors[i];
      const isLast = i === pieces.length - 1;
      const next = isLast ? 0 : indirect ? i + 1 : descriptors[i + 1];
      let flags = (write ? DescFlag.Write : 0) | (isLast ? 0 : DescFlag.Next);
      let lie = next;
      if (dice.once(3000)) {
        flags = dice.below(8);
        lie = dice.of([next, index, 0xffff, dice.below(QUEUE_SIZE)]);
        this.hasLied = true;
      }
      guest.descriptor(table + index * DESC, address, length, flags, lie);
      if ((flags & DescFlag.Write) === 0) continue;
      writable.push(address, length);
      if (address < TABLES && address + length > 0) this.isSpoilt = true;
    }
    const [head] = descriptors;
    if (indirect) {
      const more = dice.once(3000) ? dice.below(32) : 0;
      const length = pieces.length * DESC + more;
      if (more > 0) this.hasLied = true;
      guest.descriptor(this.#place + head * DESC, own, length, DescFlag.Indirect, 0);
    }
    this.offered.set(head, { descriptors, writable });
    const ring = this.#place + AVAIL + 4 + 2 * (this.#available % QUEUE_SIZE);
    const isOther = dice.once(5000);
    if (isOther) this.hasLied = true;
    guest.view.setUint16(ring, isOther ? dice.below(0x10000) : head, true);
    this.#available = (this.#available + 1) & 0xffff;
    const isFarAway = dice.once(20_000);
    if (isFarAway) this.hasLied = true;
    const index = isFarAway ? dice.below(0x10000) : this.#available;
    guest.view.setUint16(this.#place + AVAIL + 2, index, true);
  }

  /** Looks at what the device has used: it was offered, and no more than that was written. */
  collect(): void {
    const { view } = this.guest;
    const used = view.getUint16(this.#place + USED + 2, true);
    while (this.#seen !== used) {
      const at = this.#place + USED + 4 + 8 * (this.#seen % QUEUE_SIZE);
      const head = view.getUint32(at, true);
      const written = view.getUint32(at + 4, true);
      const offered = this.offered.get(head);
      // A head may have been offered twice, by a lie.
      assert.ok(offered !== undefined || this.hasLied, `${head} was not offered, or is used twice`);
      if (offered !== undefined) {
        const most = this.#writableOf(head);
        assert.ok(written <= most, `${written} of ${most}`);
        this.#free.push(...offered.descriptors);
        this.offered.delete(head);
      }
      this.#seen = (this.#seen + 1) & 0xffff;
    }
  }

  /**
   * Bytes that a chain lets the device write, as the tables have it: what was offered is no measure, since a lie leads on
   * to descriptors of other chains. Without limit when its table is said to be where data is.
   */
  #writableOf(head: number): number {
    const { view } = this.guest;
    let table = this.#place;
    let bytes = 0;
    for (let index = head, left = 2 * QUEUE_SIZE; left > 0; left--) {
      const at = table + index * DESC;
      const flags = view.getUint16(at + 12, true);
      if ((flags & DescFlag.Indirect) !== 0) {
        table = view.getUint32(at, true);
        if (table < TABLES || table >= DATA) return Infinity;
        index = 0;
        continue;
      }
      if ((flags & DescFlag.Write) !== 0) bytes += view.getUint32(at + 8, true);
      if ((flags & DescFlag.Next) === 0) break;
      index = view.getUint16(at + 14, true);
    }
    return bytes;
  }

  /** Takes over what the device may have written into the picture of what should be. */
  accept(shadow: Uint8Array): void {
    const { bytes } = this.guest;
    const used = this.#place + USED;
    shadow.set(bytes.subarray(used, used + USED), used);
    for (const { writable } of this.offered.values()) {
      for (let i = 0; i < writable.length; i += 2) {
        this.#acceptRange(shadow, writable[i], writable[i + 1]);
      }
    }
    if (!this.hasLied) return;
    this.#acceptTable(shadow, this.#place, this.#place + QUEUE_SIZE * DESC);
    this.#acceptTable(shadow, TABLES, DATA);
  }

  #acceptTable(shadow: Uint8Array, from: number, to: number): void {
    const { view } = this.guest;
    for (let at = from; at < to; at += DESC) {
      if ((view.getUint16(at + 12, true) & DescFlag.Write) === 0) continue;
      if (view.getUint32(at + 4, true) !== 0) continue;
      this.#acceptRange(shadow, view.getUint32(at, true), view.getUint32(at + 8, true));
    }
  }

  #acceptRange(shadow: Uint8Array, from: number, length: number): void {
    if (from < 0 || from >= MEMORY) return;
    shadow.set(this.guest.bytes.subarray(from, from + length), from);
  }
}

/** A guest's memory with queues of one device in it: at most three. */
export class FuzzGuest implements Disposable {
  readonly base = window.allocate(MEMORY);
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly memory: GuestMemory;
  readonly queues: readonly FuzzQueue[];
  /** How many it has made available. */
  chains = 0;
  readonly #poller = new Poller();
  readonly #shadow = new Uint8Array(MEMORY);

  /**
   * @param indices the queues, by their numbers
   * @param isLate the kernel may write for the device at any time until it has settled
   */
  constructor(
    readonly device: VirtioDevice,
    readonly dice: Dice,
    indices: readonly number[],
    private readonly isLate = false,
  ) {
    window.mapAnonymous(this.base, MEMORY);
    this.bytes = window.bytes(this.base, MEMORY);
    this.view = new DataView(window.buffer, this.base, MEMORY);
    const region = { guestAddress: 0, size: MEMORY, windowOffset: this.base };
    this.memory = new GuestMemory(window, [region]);
    for (const [i, { fd }] of (device.sources ?? []).entries()) this.#poller.add(fd, i);
    this.queues = indices.map((index, slot) => new FuzzQueue(index, slot, this));
    this.bytes.set(CONTENT, DATA);
  }

  descriptor(at: number, address: number, length: number, flags: number, next: number): void {
    const { view } = this;
    view.setUint32(at, address >>> 0, true);
    view.setUint32(at + 4, address < 0 ? 0xffff_ffff : 0, true);
    view.setUint32(at + 8, length, true);
    view.setUint16(at + 12, flags, true);
    view.setUint16(at + 14, next, true);
  }

  /** Somewhere that is not used by rings, or, rarely, where nobody may be. */
  address(length: number): number {
    if (this.dice.once(5000)) return this.dice.of([0, 0x2004, MEMORY - 1, MEMORY, -1, 2 ** 31]);
    return DATA + this.dice.below(MEMORY - DATA - length);
  }

  /** Pieces of so many bytes in all. */
  pieces(total: number, write: boolean): Piece[] {
    const pieces: Piece[] = [];
    const most = this.dice.once(200) ? LONG : 4;
    while (total > 0) {
      const isLast = pieces.length >= most - 1 || this.dice.once(2);
      const length = isLast ? total : 1 + this.dice.below(total);
      pieces.push([this.address(length), length, write]);
      total -= length;
    }
    return pieces;
  }

  /** Makes up to so many chains available, as long as there is room for a long one. */
  offer(queue: FuzzQueue, most: number, chain: () => Piece[]): void {
    for (let n = this.dice.below(most); n > 0 && queue.room > LONG; n--) {
      const pieces = chain();
      if (pieces.length === 0) continue;
      queue.offer(pieces);
      this.chains++;
    }
  }

  /** Lets the device do what it can, and looks at what it has written. */
  round(): void {
    this.#shadow.set(this.bytes);
    this.listen();
    for (const { queue } of this.queues) this.process(queue);
    if (this.isLate || this.dice.once(50)) this.device.settle?.();
    this.#check();
  }

  process(queue: Virtqueue): void {
    queue.beginRound();
    this.device.process(queue);
    queue.endRound();
  }

  /** Tells the device what has happened to its sources. */
  listen(): void {
    for (let n = this.#poller.wait(0), i = 0; i < n; i++) {
      this.device.sources?.[this.#poller.tag(i)].ready();
    }
  }

  #check(): void {
    const isSpoilt = this.queues.some((queue) => queue.isSpoilt);
    if (!isSpoilt) {
      for (const queue of this.queues) queue.accept(this.#shadow);
      if (Buffer.compare(this.#shadow, this.bytes) !== 0) {
        const at = this.#shadow.findIndex((byte, i) => byte !== this.bytes[i]);
        assert.fail(`a byte at 0x${at.toString(16)} changed that the device may not write`);
      }
      for (const queue of this.queues) queue.collect();
    }
    for (const queue of this.queues) {
      if (!isSpoilt && !queue.hasLied && queue.queue.fault === undefined) continue;
      this.device.settle?.();
      queue.restart();
    }
  }

  [Symbol.dispose](): void {
    this.device.settle?.();
    this.device.reset?.();
    this.#poller[Symbol.dispose]();
    window.free(this.base, MEMORY);
  }
}

/** A guest with all of its surroundings, for a while. */
export interface Match extends Disposable {
  readonly guest: FuzzGuest;
  /** Offers chains, lets the surroundings do something, and has a round. */
  batch(): void;
  /** After the last batch. */
  drain?(): void;
}

/** A match until the game is over; then nothing may be left of it. Its turns are chains. */
export function playMatch(make: (dice: Dice) => Match): (dice: Dice) => number {
  return tidy((dice) => {
    using match = make(dice);
    while (!dice.isOver) match.batch();
    match.drain?.();
    return match.guest.chains;
  });
}
