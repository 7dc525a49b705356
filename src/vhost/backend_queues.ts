import type { Window } from "../os/mod.ts";
import {
  Feature,
  type QueueFault,
  queueFaultText,
  ringBytes,
  type RingPlacement,
  type VirtioDevice,
  Virtqueue,
} from "../virtio/mod.ts";
import { BackendMemory } from "./backend_memory.ts";
import type { InflightMemory } from "./inflight_memory.ts";
import { Vring } from "./vring.ts";
import { Patience } from "./patience.ts";

declare global {
  interface Atomics {
    /** Tells the processor that this thread is waiting in a loop (ECMAScript proposal "microwait", in V8). */
    pause(): void;
  }
}

/** The most looks for what a driver does next. */
const DRIVER_LOOKS = 128;
/** The most looks for the end of what a device has under way, which takes a disk some time. */
const DEVICE_LOOKS = 512;

/**
 * The queues of one connection and the memory they are in. A queue runs while everything about it is
 * known and it is enabled; whatever changes, running queues rest meanwhile and go on where they were.
 */
export class BackendQueues implements Disposable {
  readonly #driverPatience = new Patience(DRIVER_LOOKS);
  readonly #devicePatience = new Patience(DEVICE_LOOKS);
  readonly vrings: readonly Vring[];
  readonly memory: BackendMemory;
  /** The features that the driver has accepted. */
  accepted = 0n;
  #inflight: InflightMemory | undefined;

  constructor(
    private readonly device: VirtioDevice,
    private readonly host: {
      readonly window: Window;
      readonly log: (text: string) => void;
      readonly link: { readonly memorySlots: number };
    },
  ) {
    this.memory = new BackendMemory(host.window, host.link.memorySlots);
    this.vrings = Array.from({ length: device.queueCount }, (_, i) => new Vring(i, host.log));
  }

  /** A queue was kicked. */
  kicked(index: number): void {
    this.vrings[index].due = true;
  }

  /** Something else happened to the device: any queue may go on. */
  wake(): void {
    for (const vring of this.vrings) vring.due = true;
  }

  /** Processes each queue that has something to do, a round each. True when there is more to do. */
  run(): boolean {
    let more = false;
    for (let i = 0; i < this.vrings.length; i++) {
      const vring = this.vrings[i];
      const queue = vring.queue;
      if (!vring.due || queue === undefined) continue;
      queue.beginRound();
      this.device.process(queue);
      queue.notify();
      if (queue.hasMore) more = true;
      if (queue.fault !== undefined) {
        this.#complain(vring, `broken by its driver: ${queueFaultText(queue.fault)}`);
      }
    }
    // What was done for one queue may have ended something of another.
    for (const { queue } of this.vrings) queue?.notify();
    if (this.device.goesOn?.() === true) {
      this.wake();
      return true;
    }
    if (more || this.#watch()) return true;
    for (let i = 0; i < this.vrings.length; i++) {
      const vring = this.vrings[i];
      if (!vring.due || vring.queue === undefined) continue;
      vring.due = vring.queue.endRound();
      if (vring.due) more = true;
    }
    return more;
  }

  /** Looks for a while whether driver or device go on, before they are waited for: then true. */
  #watch(): boolean {
    const driver = this.#driverPatience.begin();
    const device = this.device.hasNews?.() === undefined ? 0 : this.#devicePatience.begin();
    for (let i = 0; i < driver || i < device; i++) {
      if (i < driver && this.#driverGoesOn) {
        this.#driverPatience.paid();
        return true;
      }
      if (i < device && this.device.hasNews?.() === true) {
        this.#devicePatience.paid();
        this.wake();
        return true;
      }
      Atomics.pause();
    }
    if (driver > 0) this.#driverPatience.inVain();
    if (device > 0) this.#devicePatience.inVain();
    return false;
  }

  /** Whether a driver that need not kick now has made something available. */
  get #driverGoesOn(): boolean {
    for (let i = 0; i < this.vrings.length; i++) {
      const { due, queue } = this.vrings[i];
      if (due && queue !== undefined && queue.hasMore) return true;
    }
    return false;
  }

  /** Does something that running queues must not see happen. They go on afterwards, or stay as they were. */
  changed(change: () => void): void {
    this.device.settle?.();
    const faults = this.vrings.map(({ queue }) => queue?.fault);
    for (const vring of this.vrings) this.#stop(vring);
    try {
      change();
    } finally {
      this.start();
      for (const [i, fault] of faults.entries()) {
        // What a driver broke it has to set up anew.
        if (fault !== undefined) this.#breakAgain(this.vrings[i], fault);
      }
    }
  }

  #breakAgain(vring: Vring, fault: QueueFault): void {
    vring.queue?.break(fault);
    vring.faultTold = true;
  }

  /** Stops a queue when what is under way, also that of a predecessor, is done. */
  rest(vring: Vring): void {
    const { queue } = vring;
    if (queue === undefined) return;
    for (let left = 0; queue.resubmitsLeft !== left && queue.fault === undefined;) {
      left = queue.resubmitsLeft;
      queue.beginRound();
      this.device.process(queue);
      this.device.settle?.();
    }
    this.device.settle?.();
    this.#stop(vring);
    this.device.rested?.(vring.index);
  }

  #stop(vring: Vring): void {
    const { queue } = vring;
    if (queue === undefined) return;
    queue.notify();
    vring.base = queue.base;
    vring.queue = undefined;
    vring.due = false;
  }

  /** Lets every queue run that can. */
  start(): void {
    for (const vring of this.vrings) {
      if (vring.queue === undefined && vring.complete) this.#start(vring);
    }
  }

  /** A queue whose rings cannot be used stays away; the frontend hears of it by the error descriptor. */
  #start(vring: Vring): void {
    const rings = this.place(vring);
    if (rings === undefined) {
      if (this.memory.mappingCount > 0) {
        this.#complain(vring, "its rings are not in shared memory");
      }
      return;
    }
    const { window } = this.host;
    const log = this.#inflight?.log(vring.index, vring.size);
    let recovery;
    try {
      recovery = log?.recover(window.view.getUint16(rings.used + 2, true));
    } catch (error) {
      this.#complain(vring, error instanceof Error ? error.message : String(error));
      return;
    }
    vring.queue = new Virtqueue({
      index: vring.index,
      memory: this.memory.guest,
      rings,
      eventIndex: (this.accepted & Feature.EventIdx) !== 0n,
      indirect: (this.accepted & Feature.IndirectDesc) !== 0n,
      base: recovery?.base ?? vring.base,
      signal: vring.signal,
      log,
      resubmit: recovery?.resubmit,
    });
    vring.faultTold = false;
    vring.due = true;
    // A predecessor may have completed something and ended before it said so.
    if (recovery?.base !== undefined) vring.signal();
  }

  /** Where the rings are in the window; undefined when they are not, wholly, or not aligned. */
  place({ size, addresses }: Vring): RingPlacement | undefined {
    if (addresses === undefined) return undefined;
    const bytes = ringBytes(size);
    const { user } = this.memory;
    const desc = user.translate(addresses.desc, bytes.desc);
    // The used ring, and the event index behind the available one, are ours to write.
    const avail = user.translate(addresses.avail, bytes.avail, true);
    const used = user.translate(addresses.used, bytes.used, true);
    if (desc < 0 || avail < 0 || used < 0) return undefined;
    if (desc % 16 !== 0 || avail % 2 !== 0 || used % 4 !== 0) return undefined;
    return { size, desc, avail, used };
  }

  /** Adopts the notes of what is in flight. */
  set inflight(memory: InflightMemory | undefined) {
    this.#inflight?.[Symbol.dispose]();
    this.#inflight = memory;
  }

  /** Takes all queues away; memory stays. */
  reset(): void {
    this.device.settle?.();
    for (const vring of this.vrings) {
      this.#stop(vring);
      vring.reset();
    }
    this.accepted = 0n;
    this.device.reset?.();
  }

  /** Says once what is wrong with a queue, and tells the frontend. */
  #complain(vring: Vring, text: string): void {
    if (vring.faultTold) return;
    vring.faultTold = true;
    this.host.log(`queue ${vring.index}: ${text}`);
    vring.signalError();
  }

  /** The device has nothing in flight afterwards, and guest memory is gone. */
  [Symbol.dispose](): void {
    this.reset();
    for (const vring of this.vrings) vring[Symbol.dispose]();
    this.memory[Symbol.dispose]();
    this.inflight = undefined;
  }
}
