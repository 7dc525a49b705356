import type { GuestMemory } from "../memory/mod.ts";
import type { DescriptorChain } from "./descriptor_chain.ts";
import type { QueueFault } from "./queue_fault.ts";
import {
  Avail,
  AVAIL_NO_INTERRUPT,
  ringBytes,
  type RingPlacement,
  Used,
  USED_NO_NOTIFY,
} from "./ring_layout.ts";
import { walkChain } from "./walk_chain.ts";

/** Where a transport notes what a device is working on, so that a successor can go on. */
export interface CompletionLog {
  /** The chain was taken from the available ring. */
  taken(head: number): void;
  /** It was not worked on and is available again. */
  putBack(head: number): void;
  /** It is about to appear in the used ring. */
  completing(head: number): void;
  /** It is in the used ring, and the driver can see it. */
  completed(head: number): void;
  /** All that were completing are completed, and the index of the used ring is this. */
  published(usedIndex: number): void;
}

/** How a virtqueue is set up. */
export interface VirtqueueOptions {
  readonly index: number;
  readonly memory: GuestMemory;
  readonly rings: RingPlacement;
  /** VIRTIO_F_EVENT_IDX is negotiated. */
  readonly eventIndex: boolean;
  /** VIRTIO_F_INDIRECT_DESC is negotiated. */
  readonly indirect: boolean;
  /** Index in the available ring to go on at. */
  readonly base: number;
  /** Tells the driver that there is something in the used ring. */
  readonly signal: () => void;
  readonly log?: CompletionLog;
  /** Chains that a predecessor took and did not complete, in the order to do them again. */
  readonly resubmit?: readonly number[];
}

/** Who lets a device take chains from a queue, one by one, and hears of what comes of them. */
export interface QueueGate {
  /** Whether the next chain may be taken, if there is one. */
  lets(queue: Virtqueue): boolean;
  taken(chain: DescriptorChain): void;
  /** It was not used after all. */
  putBack(chain: DescriptorChain): void;
  /** @param written bytes for the driver */
  used(written: number): void;
}

/** A device takes at most so many chains before others have their turn. */
const CHAINS_PER_ROUND = 256;

/**
 * The device side of a split virtqueue (virtio 1.2 §2.7). Nothing that a driver writes makes it
 * throw: a driver that breaks the queue is found out once ({@link fault}), and from then on the
 * queue is empty. No call allocates.
 *
 * Both sides poll before they sleep and the indices go both ways, so two orders matter that x86 does not
 * keep by itself (a store, then a load of another address): publish the used index before reading
 * used_event, publish avail_event before looking at the available index again. Those stores are
 * Atomics, which are full fences; the other orders (ring entry before index) hold on x86.
 *
 * @example
 * ```ts
 * import { DescriptorChain } from "spectrum";
 *
 * // Gives everything back that a driver offers, unused.
 * function drain(queue: Virtqueue): void {
 *   const chain = new DescriptorChain(64);
 *   while (queue.next(chain)) queue.complete(chain, 0);
 * }
 * ```
 */
export class Virtqueue {
  readonly index: number;
  readonly size: number;
  /** All may be taken at once when left out. */
  gate: QueueGate | undefined;
  readonly #options: VirtqueueOptions;
  readonly #memory: GuestMemory;
  readonly #desc: number;
  readonly #avail: Uint16Array;
  readonly #used: Uint16Array;
  readonly #usedRing: Uint32Array;
  readonly #mask: number;
  readonly #eventIndex: boolean;
  readonly #indirect: boolean;
  readonly #log: CompletionLog | undefined;
  readonly #resubmit: number[];
  #fault: QueueFault | undefined;
  /** The next entry of the available ring to take. */
  #next: number;
  /** The available index when we looked last for something to take. */
  #seen: number;
  /** The available index when the round began, or we looked last: what a device leaves there is nothing new to it. */
  #noticed: number;
  /** Of the used ring, including what is not published. */
  #usedIndex: number;
  #publishedIndex: number;
  /** Heads that are used and not published, for the log. */
  readonly #unpublished: Uint16Array;
  /** The used index when we last thought about signalling. */
  #signalled: number;
  #hasSignalled = false;
  #budget = CHAINS_PER_ROUND;
  #needsKicks = true;

  /** @param options rings lie in the window and are aligned as {@link RingPlacement} says */
  constructor(options: VirtqueueOptions) {
    const { rings, memory } = options;
    const { size } = rings;
    const buffer = memory.view.buffer;
    const bytes = ringBytes(size);
    this.#options = options;
    this.index = options.index;
    this.size = size;
    this.#memory = memory;
    this.#desc = rings.desc;
    this.#avail = new Uint16Array(buffer, rings.avail, bytes.avail / 2);
    this.#used = new Uint16Array(buffer, rings.used, bytes.used / 2);
    this.#usedRing = new Uint32Array(buffer, rings.used + Used.ringByte, 2 * size);
    this.#mask = size - 1;
    this.#eventIndex = options.eventIndex;
    this.#indirect = options.indirect;
    this.#log = options.log;
    this.#resubmit = [...options.resubmit ?? []].reverse();
    this.#next = this.#seen = this.#noticed = options.base & 0xffff;
    this.#usedIndex = this.#publishedIndex = this.#signalled = Atomics.load(
      this.#used,
      Used.index,
    );
    this.#unpublished = new Uint16Array(options.log === undefined ? 0 : size);
  }

  /** How the driver broke the queue, if it did. */
  get fault(): QueueFault | undefined {
    return this.#fault;
  }

  /** How many chains of a predecessor are still to be done again. */
  get resubmitsLeft(): number {
    return this.#resubmit.length;
  }

  /**
   * Index in the available ring at which a successor goes on. Chains of a predecessor that were left
   * count as not taken, which is right for devices that complete in order.
   */
  get base(): number {
    return (this.#next - this.#resubmit.length) & 0xffff;
  }

  /** Takes the next chain into `chain`. False when there is none, it is others' turn, or the queue is broken. */
  next(chain: DescriptorChain): boolean {
    if (this.#fault !== undefined || this.#budget === 0) return false;
    if (this.gate !== undefined && !this.gate.lets(this)) return false;
    const resubmitted = this.#resubmit.length > 0;
    let head: number;
    if (resubmitted) {
      head = this.#resubmit[this.#resubmit.length - 1];
    } else {
      if (this.#next === this.#seen && !this.#look()) return false;
      head = this.#avail[Avail.ring + (this.#next & this.#mask)];
    }
    const fault = walkChain(this.#memory, this.#desc, this.size, head, this.#indirect, chain);
    if (fault !== undefined) {
      this.break(fault);
      return false;
    }
    if (resubmitted) this.#resubmit.pop();
    else this.#next = (this.#next + 1) & 0xffff;
    chain.isResubmitted = resubmitted;
    chain.head = head;
    this.#budget--;
    if (this.#log !== undefined) this.#log.taken(head);
    if (this.gate !== undefined) this.gate.taken(chain);
    return true;
  }

  /** Makes the chain that was taken last available again, untouched. Several of them: the last one first. */
  putBack(chain: DescriptorChain): void {
    if (this.#log !== undefined) this.#log.putBack(chain.head);
    if (this.gate !== undefined) this.gate.putBack(chain);
    if (chain.isResubmitted) this.#resubmit.push(chain.head);
    else this.#next = (this.#next - 1) & 0xffff;
  }

  /**
   * Gives a chain back to the driver: the one place where what a device wrote becomes the driver's.
   * The driver is told at the end of the round.
   *
   * @param written bytes from the beginning of the writable pieces on
   */
  complete(chain: DescriptorChain, written: number): void {
    this.use(chain, written);
    this.publish();
  }

  /** As {@link complete}, but the driver sees nothing of it before {@link publish}: for chains that belong together. */
  use(chain: DescriptorChain, written: number): void {
    const { head } = chain;
    const at = (this.#usedIndex & this.#mask) * 2;
    this.#usedRing[at] = head;
    this.#usedRing[at + 1] = written;
    if (this.gate !== undefined) this.gate.used(written);
    if (this.#log !== undefined) {
      this.#unpublished[(this.#usedIndex - this.#publishedIndex) & this.#mask] = head;
      this.#log.completing(head);
    }
    this.#usedIndex = (this.#usedIndex + 1) & 0xffff;
  }

  /** Shows the driver at once what was used, at most as many chains as the queue has descriptors. */
  publish(): void {
    const usedIndex = this.#usedIndex;
    const count = (usedIndex - this.#publishedIndex) & 0xffff;
    if (count === 0) return;
    Atomics.store(this.#used, Used.index, usedIndex);
    this.#publishedIndex = usedIndex;
    if (this.#log === undefined) return;
    for (let i = 0; i < count; i++) this.#log.completed(this.#unpublished[i]);
    this.#log.published(usedIndex);
  }

  /**
   * Whether the driver should say when it makes more available, from the end of this round on. A device that has taken
   * enough in advance spares it that, and looks by itself.
   */
  set needsKicks(value: boolean) {
    this.#needsKicks = value;
  }

  /** Marks the queue as broken by its driver; the first fault counts. */
  break(fault: QueueFault): void {
    this.#fault ??= fault;
  }

  /** There is something to take, if it were this queue's turn. */
  get hasAny(): boolean {
    if (this.#fault !== undefined) return false;
    return this.#resubmit.length > 0 || Atomics.load(this.#avail, Avail.index) !== this.#next;
  }

  /** For the transport, before the device processes the queue: kicks are not needed for now. */
  beginRound(): void {
    this.#budget = CHAINS_PER_ROUND;
    this.#noticed = Atomics.load(this.#avail, Avail.index);
    if (!this.#eventIndex) this.#used[Used.flags] = USED_NO_NOTIFY;
  }

  /** For the transport, in a round: the driver has made something available meanwhile that the device does not know of. */
  get hasMore(): boolean {
    if (this.#fault !== undefined) return false;
    return this.#budget === 0 || Atomics.load(this.#avail, Avail.index) !== this.#noticed;
  }

  /**
   * For the transport, when the device is done for now: signals if the driver wants that, and asks
   * for a kick.
   *
   * @returns true when there is more to do already, and no kick will come for it
   */
  endRound(): boolean {
    this.notify();
    if (this.#fault !== undefined) return false;
    if (this.#budget === 0) return true;
    if (!this.#needsKicks) {
      // As far away as an index can be; without event indices the flag stays as beginRound has set it.
      if (this.#eventIndex) this.#used[this.#used.length - 1] = this.#noticed + 0x8000;
      return false;
    }
    if (this.#eventIndex) Atomics.store(this.#used, this.#used.length - 1, this.#noticed);
    else Atomics.store(this.#used, Used.flags, 0);
    return Atomics.load(this.#avail, Avail.index) !== this.#noticed;
  }

  /** Signals when something was completed since the last time and the driver wants to know. */
  notify(): void {
    const old = this.#signalled;
    const now = this.#publishedIndex;
    if (old === now) return;
    this.#signalled = now;
    // The first is always signalled: what the driver waits for may be older than this object.
    if (this.#hasSignalled && !this.#wantsSignal(old, now)) return;
    this.#hasSignalled = true;
    this.#options.signal();
  }

  #wantsSignal(old: number, now: number): boolean {
    if (!this.#eventIndex) return (this.#avail[Avail.flags] & AVAIL_NO_INTERRUPT) === 0;
    // §2.7.7.1: used_event, behind the ring, was passed on the way from old to now.
    const event = this.#avail[this.#avail.length - 1];
    return ((now - event - 1) & 0xffff) < ((now - old) & 0xffff);
  }

  #look(): boolean {
    const seen = Atomics.load(this.#avail, Avail.index);
    const count = (seen - this.#next) & 0xffff;
    if (count > this.size) {
      this.break("available-index");
      return false;
    }
    this.#seen = this.#noticed = seen;
    return count > 0;
  }
}
