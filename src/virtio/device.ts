import type { Fd } from "../os/mod.ts";
import type { Virtqueue } from "./virtqueue.ts";

/** Something besides its queues that a device waits for. */
export interface DeviceSource {
  readonly fd: Fd;
  /** Wait until it can be written to, rather than read from. */
  readonly writable?: boolean;
  /**
   * More can be read, or written, than before. Comes once for what arrives: a device that leaves some
   * of it must look again by itself. Afterwards every running queue is processed.
   */
  ready(): void;
}

/**
 * Shows memory of the device to the driver, in a shared memory region of the device (virtio 1.2 §2.10). Both calls
 * return when it is done; false says that the other side refused.
 */
export interface SharedMemoryMapper {
  /** Maps `length` bytes of a descriptor, which stays the caller's, where nothing is mapped yet. All in pages. */
  map(
    region: number,
    offset: number,
    fd: Fd,
    what: { readonly fdOffset: number; readonly length: number; readonly writable: boolean },
  ): boolean;
  /** Takes a whole mapping away. */
  unmap(region: number, offset: number, length: number): boolean;
}

/**
 * A device as its author writes it. The transport owns negotiation, memory and queues; the device
 * takes chains from queues and completes them. All calls come from one thread, one at a time.
 *
 * @example
 * ```ts
 * import { DescriptorChain, DeviceId, type Virtqueue } from "spectrum";
 *
 * // Takes what it is given and answers nothing.
 * class Sink implements VirtioDevice {
 *   readonly id = DeviceId.Console;
 *   readonly features = 0n;
 *   readonly queueCount = 2;
 *   readonly config = new Uint8Array(0);
 *   readonly #chain = new DescriptorChain(64);
 *
 *   process(queue: Virtqueue): void {
 *     while (queue.next(this.#chain)) queue.complete(this.#chain, 0);
 *   }
 * }
 * ```
 */
export interface VirtioDevice {
  /** One of {@link DeviceId}. */
  readonly id: number;
  /** Feature bits of this kind of device; those of the ring are the transport's. */
  readonly features: bigint;
  readonly queueCount: number;
  /** The config space as the driver reads it now. */
  readonly config: Uint8Array;
  /** What else to wait for. */
  readonly sources?: readonly DeviceSource[];
  /** Sizes of its shared memory regions in bytes, by their ids. */
  readonly sharedMemory?: readonly number[];

  /** For a device with shared memory: how to fill it, undefined when the frontend has no such thing. Comes before {@linkcode start}. */
  attach?(mapper: SharedMemoryMapper | undefined): void;

  /** For a device whose config space changes by itself: how to say so. Comes with each connection. */
  attachConfig?(announce: () => void): void;

  /** The driver accepted these features. Comes before the first chain, and again after a reset. */
  start?(features: bigint): void;

  /** Bytes that the driver wrote into the config space, which lie wholly inside. False refuses them. */
  writeConfig?(offset: number, bytes: Uint8Array): boolean;

  /**
   * Takes chains from a queue until {@link Virtqueue.next} answers false, and completes each, now or
   * later. It may leave chains there when it cannot use them yet: it is called again after each
   * event of one of its sources.
   */
  process(queue: Virtqueue): void;

  /** A queue was taken away by itself, after all in it was settled. It is back when it is processed again. */
  rested?(index: number): void;

  /**
   * Whether what it did for one queue lets another go on, since this was asked last: then all are processed once more.
   * Asked after each round.
   */
  goesOn?(): boolean;

  /**
   * Whether something has ended that it has under way, seen without a system call; undefined when nothing is under way.
   * Asked many times before a wait. When it is true, all queues are processed, and the first of them takes it up.
   */
  hasNews?(): boolean | undefined;

  /**
   * Milliseconds after which all queues are to be processed though nothing has happened; -1 when that need not be. Asked
   * before each wait.
   */
  readonly delay?: number;

  /** Completes or puts back everything it has taken, waiting for it: memory or a queue is about to go. */
  settle?(): void;

  /** The driver reset the device, or the connection to it is over: nothing is mapped in its shared memory any more. */
  reset?(): void;
}
