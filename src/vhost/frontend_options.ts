import type { Fd } from "../os/mod.ts";
import type { InflightRegion } from "./inflight_region.ts";

/** A piece of guest memory that the backend may see. */
export interface SharedRegion {
  readonly guestAddress: number;
  /** Bytes. */
  readonly size: number;
  /** Where it is for us; ring addresses are said in these terms. */
  readonly userAddress: number;
  /** The memory itself. Stays the caller's. */
  readonly fd: Fd;
  /** Where in it the region begins; 0 when left out. */
  readonly fdOffset?: number;
}

/** A virtqueue that the driver has set up. */
export interface SharedQueue {
  readonly index: number;
  /** Descriptors; a power of two up to 32768. */
  readonly size: number;
  /** User address of the descriptor table. */
  readonly desc: number;
  /** User address of the available ring. */
  readonly avail: number;
  /** User address of the used ring. */
  readonly used: number;
  /**
   * Index in the available ring at which the backend goes on: 0, what {@linkcode Frontend.stop} said, or, after
   * a backend that ended without a word, the index of the used ring.
   */
  readonly base: number;
  /** Raised by the driver's side. All three stay the caller's. */
  readonly kick: Fd;
  /** Raised by the backend when there is something used. */
  readonly call: Fd;
  /** Raised by the backend when the queue is broken. */
  readonly err?: Fd;
}

/** Memory that a backend wants to show to its driver; in bytes. */
export interface SharedMemoryRequest {
  /** Id of the region. */
  readonly region: number;
  /** In the region. */
  readonly offset: number;
  /** In the memory of the descriptor. */
  readonly fdOffset: number;
  readonly length: number;
  readonly writable: boolean;
}

/** Who puts a backend's memory before the driver. Nothing in a request was checked. Neither answer is ever a rejection. */
export interface SharedMemoryHost {
  /** Whether it is mapped now. The descriptor stays the caller's, who may close it as soon as this returns. */
  map(request: SharedMemoryRequest, fd: Fd): Promise<boolean>;
  /** Whether there was just such a mapping, and is none any more. */
  unmap(region: number, offset: number, length: number): Promise<boolean>;
}

/** What {@linkcode Frontend.start} hands to the backend. */
export interface StartOptions {
  /** What the driver accepted; without {@link TransportFeature}. */
  readonly features: bigint;
  /** At most {@link MAX_MEMORY_REGIONS}. */
  readonly memory: readonly SharedRegion[];
  /** What {@linkcode Frontend.addMemory} would have added by now. Asked when the backend is told. */
  readonly added?: () => Iterable<SharedRegion>;
  readonly queues: readonly SharedQueue[];
  /** Of the backend's predecessor ({@linkcode Frontend.takeInflight}); moves in here. */
  readonly inflight?: InflightRegion;
}

/** What a backend offers. */
export interface Negotiated {
  /** Virtio feature bits, without {@link TransportFeature}. */
  readonly features: bigint;
  /** {@link ProtocolFeature} that both sides have. */
  readonly protocolFeatures: bigint;
  /** The most queues; 1 when the backend does not tell. */
  readonly queueCount: number;
  /** The device's config space; empty when the backend has none. */
  readonly config: Uint8Array;
  /** Sizes in bytes of the device's shared memory regions, by id; 0 where there is none. */
  readonly sharedMemory: readonly number[];
  /** How many regions of memory the backend takes when they come one by one; 0 when it takes none. */
  readonly memorySlots: number;
}

export interface FrontendOptions {
  /** Name of the device, for errors. */
  readonly name: string;
  /** How long the backend has for each answer; 5 s when left out. */
  readonly replyTimeoutMs?: number;
  /** The same until it is negotiated, for a backend whose process may still be starting. */
  readonly startTimeoutMs?: number;
  /** Bytes of config space that this kind of device has, at most {@link MAX_CONFIG_SIZE}; 0 when left out. */
  readonly configSize?: number;
  /** Queues that this kind of device has at least when the backend does not tell; 1 when left out. */
  readonly queueCount?: number;
  /** This kind of device has shared memory regions; see {@linkcode Frontend.sharedMemory}. */
  readonly hasSharedMemory?: boolean;
  /** Memory may be added while the backend works; see {@linkcode Frontend.addMemory}. */
  readonly addsMemory?: boolean;
  /** See {@linkcode Frontend.onConfigChange}. */
  readonly onConfigChange?: (config: Uint8Array) => void;
  /** See {@linkcode Frontend.onDisconnect}. */
  readonly onDisconnect?: (error: Error) => void;
}
