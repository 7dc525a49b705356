import type { ConfigRange } from "../pci/mod.ts";
import { BlkConfig, ConsoleConfig, DeviceId, NetConfig, VsockConfig } from "../virtio/mod.ts";

/** What the transport must know of a kind of device; all else is between driver and backend. */
export interface DeviceKind {
  /** As a person calls it. */
  readonly name: string;
  /** Virtio device id. */
  readonly type: number;
  /** Bytes of device-specific configuration. */
  readonly configSize: number;
  /** What of it a driver may write. */
  readonly writableConfig: readonly ConfigRange[];
  /** Queues that the kind has at least. */
  readonly leastQueues: number;
  /** It has shared memory regions. */
  readonly sharesMemory?: boolean;
  /** Its driver hands over memory of programs as it is, so its backend has to know all memory that the guest has. */
  readonly doesDirectIo?: boolean;
  /** Only its backend knows what its driver and the host have open: when that is lost, its driver must begin anew. */
  readonly diesWithBackend?: boolean;
  /** The configuration that a driver may see when the transport has only so many queues. */
  presentConfig(config: Uint8Array, queues: number): Uint8Array;
  /** Why a driver that knows the one configuration cannot go on with the other, if it cannot. */
  difference?(known: Uint8Array, other: Uint8Array): string | undefined;
}

/** Up to the fields of secure erase, which nobody here offers: older backends refuse to be asked for more. */
const BLK_CONFIG_SIZE = BlkConfig.offset.maxSecureEraseSectors;

const SECTOR = 512;

const unchanged = (config: Uint8Array) => config;

/** The kinds of devices that a VM can have. */
export const deviceKinds = {
  blk: {
    name: "blk",
    type: DeviceId.Block,
    configSize: BLK_CONFIG_SIZE,
    writableConfig: [{ offset: BlkConfig.offset.writeback, size: 1 }],
    leastQueues: 1,
    doesDirectIo: true,
    presentConfig(config, queues) {
      const presented = config.slice();
      if (presented.length < BLK_CONFIG_SIZE) return presented;
      const view = BlkConfig.at(new DataView(presented.buffer));
      view.numQueues = Math.min(view.numQueues, queues);
      return presented;
    },
    difference(known, other) {
      const sectors = (config: Uint8Array) => {
        const view = new DataView(config.buffer, config.byteOffset, config.byteLength);
        return config.length < BLK_CONFIG_SIZE ? 0 : BlkConfig.at(view).capacity;
      };
      return sectors(known) === sectors(other)
        ? undefined
        : `it has ${sectors(other) * SECTOR} bytes, and had ${sectors(known) * SECTOR}`;
    },
  },
  rng: {
    name: "rng",
    type: DeviceId.Rng,
    configSize: 0,
    writableConfig: [],
    leastQueues: 1,
    presentConfig: unchanged,
  },
  console: {
    name: "console",
    type: DeviceId.Console,
    configSize: ConsoleConfig.size,
    writableConfig: [],
    leastQueues: 2,
    presentConfig: unchanged,
  },
  net: {
    name: "net",
    type: DeviceId.Net,
    configSize: NetConfig.size,
    writableConfig: [],
    leastQueues: 2,
    presentConfig(config, queues) {
      const presented = config.slice();
      if (presented.length < NetConfig.size) return presented;
      const view = NetConfig.at(new DataView(presented.buffer));
      // The last is the control queue.
      const pairs = Math.max(1, (queues - 1) >> 1);
      view.maxVirtqueuePairs = Math.min(view.maxVirtqueuePairs, pairs);
      return presented;
    },
  },
  vsock: {
    name: "vsock",
    type: DeviceId.Vsock,
    configSize: VsockConfig.size,
    writableConfig: [],
    leastQueues: 3,
    presentConfig: unchanged,
  },
  wl: {
    name: "wl",
    type: DeviceId.Wl,
    configSize: 0,
    writableConfig: [],
    leastQueues: 2,
    sharesMemory: true,
    diesWithBackend: true,
    presentConfig: unchanged,
  },
} as const satisfies Record<string, DeviceKind>;
