import { type Fd, Uring, type Window } from "../../os/mod.ts";
import {
  BlkConfig,
  BlkFeature,
  DeviceId,
  type DeviceSource,
  SECTOR_SIZE,
  SERIAL_SIZE,
  type VirtioDevice,
  type Virtqueue,
} from "../../virtio/mod.ts";
import { type Limit, Limiter, type Throttled } from "../limiter.ts";
import { BlkCommands, RangeLimits } from "./blk_commands.ts";
import { BlkRequest } from "./blk_request.ts";
import { Disk, DiskError } from "./disk.ts";
import { RingEngine } from "./ring_engine.ts";

/** How a disk is served. */
export interface BlkOptions {
  /** A raw image or a block device; stays the caller's. With O_DIRECT it is used past the page cache. */
  readonly disk: Fd;
  readonly readonly?: boolean;
  /** Request queues; 4 when left out. */
  readonly queues?: number;
  /** What the guest reads as serial number, at most {@link SERIAL_SIZE} bytes. */
  readonly serial?: string;
  /** Rates that its requests may have. */
  readonly limit?: Limit;
  /** The limit's clock, in milliseconds; that of the process when left out. */
  readonly now?: () => number;
  /** Told what the limit holds back. */
  readonly onThrottled?: (throttled: Throttled) => void;
  /** One line for people. */
  readonly log: (text: string) => void;
}

/** A request has at most so many pieces of data: two less than a queue of 256 has descriptors. */
const SEGMENTS = 254;
const MAX_QUEUES = 64;
const RING_ENTRIES = 256;

/**
 * Block device (virtio 1.2 §5.2). Data goes straight between the disk and guest memory: by system
 * calls where the page cache is likely to have it, by io_uring where the disk is opened with O_DIRECT.
 *
 * @example
 * ```ts
 * import { DeviceLoop, type Fd, listenUnix, Window } from "spectrum";
 *
 * // Serves an image at a socket, as a worker does.
 * function serveImage(image: Fd, socket: string): void {
 *   const window = Window.reserve();
 *   using device = new BlkDevice(window, { disk: image, log: console.error });
 *   using loop = new DeviceLoop(device, { window, log: console.error });
 *   using listening = listenUnix(socket);
 *   loop.serveEach(listening);
 * }
 * ```
 */
export class BlkDevice implements VirtioDevice, Disposable {
  readonly id = DeviceId.Block;
  readonly features: bigint;
  readonly queueCount: number;
  readonly sources: readonly DeviceSource[];
  readonly #disk: Disk;
  readonly #commands: BlkCommands;
  readonly #ring: RingEngine | undefined;
  readonly #limiter: Limiter | undefined;
  readonly #request = new BlkRequest(SEGMENTS);
  readonly #config: Uint8Array;
  #accepted = 0n;

  /** @throws DiskError when the disk or an option cannot be */
  constructor(window: Window, options: BlkOptions) {
    const { readonly = false, queues = 4, serial = "" } = options;
    if (!Number.isInteger(queues) || queues < 1 || queues > MAX_QUEUES) {
      throw new DiskError(`a disk has 1 to ${MAX_QUEUES} queues`);
    }
    const name = new TextEncoder().encode(serial);
    if (name.length > SERIAL_SIZE) {
      throw new DiskError(`the serial number "${serial}" has more than ${SERIAL_SIZE} bytes`);
    }
    const { limit, onThrottled, now } = options;
    this.#limiter = limit && new Limiter(limit, { report: onThrottled, now });
    const disk = this.#disk = new Disk(window, options.disk, readonly, SEGMENTS);
    this.#commands = new BlkCommands(window, disk, name);
    this.queueCount = queues;
    this.features = featuresOf(disk, queues);
    this.#config = configOf(disk, queues);
    this.#ring = disk.direct ? this.#makeRing(window, options) : undefined;
    this.sources = this.#ring === undefined ? [] : [this.#ring.source];
  }

  get config(): Uint8Array {
    return this.#config;
  }

  start(features: bigint): void {
    this.#accepted = features;
    this.#chooseCacheMode();
  }

  writeConfig(offset: number, bytes: Uint8Array): boolean {
    const settable = (this.#accepted & BlkFeature.ConfigWce) !== 0n;
    const value = bytes[0];
    if (!settable || offset !== BlkConfig.offset.writeback || bytes.length !== 1 || value > 1) {
      return false;
    }
    this.#config[offset] = value;
    this.#chooseCacheMode();
    return true;
  }

  process(queue: Virtqueue): void {
    const limiter = this.#limiter;
    if (this.#ring !== undefined) return this.#ring.process(queue, limiter);
    const request = this.#request;
    request.queue = queue;
    while (limiter?.lets(queue) !== false && queue.next(request.chain)) {
      if (!this.#commands.parse(request)) {
        queue.break("request");
        return;
      }
      const status = this.#commands.execute(request);
      limiter?.passed(request.bytes);
      this.#commands.complete(request, status);
    }
  }

  get delay(): number {
    return this.#limiter?.delay ?? -1;
  }

  hasNews(): boolean | undefined {
    return this.#ring?.hasNews;
  }

  settle(): void {
    this.#limiter?.forget();
    this.#ring?.settle();
  }

  reset(): void {
    this.#accepted = 0n;
    if (!this.#disk.readonly) this.#config[BlkConfig.offset.writeback] = 1;
  }

  /** Without the means to flush, or told so, a driver relies on every write (§5.2.6.2). */
  #chooseCacheMode(): void {
    const canFlush = (this.#accepted & BlkFeature.Flush) !== 0n;
    const settable = (this.#accepted & BlkFeature.ConfigWce) !== 0n;
    const writeback = settable ? this.#config[BlkConfig.offset.writeback] === 1 : canFlush;
    this.#commands.writeThrough = !writeback;
  }

  #makeRing(window: Window, { disk, log }: BlkOptions): RingEngine | undefined {
    const ring = Uring.tryCreate(window, disk, RING_ENTRIES);
    if (ring instanceof Uring) return new RingEngine(ring, this.#commands, SEGMENTS);
    log(`${ring.reason}; requests to this disk wait for one another`);
    return undefined;
  }

  [Symbol.dispose](): void {
    this.#ring?.[Symbol.dispose]();
    this.#disk[Symbol.dispose]();
  }
}

function featuresOf(disk: Disk, queues: number): bigint {
  let features = BlkFeature.SegMax | BlkFeature.BlkSize | BlkFeature.Topology | BlkFeature.Flush;
  if (queues > 1) features |= BlkFeature.Mq;
  if (disk.readonly) return features | BlkFeature.ReadOnly;
  features |= BlkFeature.ConfigWce | BlkFeature.WriteZeroes;
  if (disk.canDiscard) features |= BlkFeature.Discard;
  return features;
}

function configOf(disk: Disk, queues: number): Uint8Array {
  const blocksPerPhysical = disk.physicalBlockSize / disk.blockSize;
  return BlkConfig.encode({
    capacity: disk.size / SECTOR_SIZE,
    segMax: SEGMENTS,
    blkSize: disk.blockSize,
    physicalBlockExp: Math.log2(blocksPerPhysical),
    minIoSize: blocksPerPhysical,
    writeback: disk.readonly ? 0 : 1,
    numQueues: queues,
    maxDiscardSectors: disk.canDiscard ? RangeLimits.discardSectors : 0,
    maxDiscardSeg: disk.canDiscard ? RangeLimits.segments : 0,
    // A file gives room back by whole blocks of its file system.
    discardSectorAlignment: disk.physicalBlockSize / SECTOR_SIZE,
    maxWriteZeroesSectors: disk.readonly ? 0 : RangeLimits.zeroSectors,
    maxWriteZeroesSeg: disk.readonly ? 0 : RangeLimits.segments,
    writeZeroesMayUnmap: disk.canDiscard ? 1 : 0,
  });
}
