import { type Fd, openFile, type Owned, truncate } from "../../../src/os/mod.ts";
import {
  BlkConfig,
  BlkDiscardSegment,
  BlkFeature,
  BlkRequestHeader,
  BlkRequestType,
  Feature,
  type MockBuffer,
  WRITE_ZEROES_UNMAP,
} from "../../../src/virtio/mod.ts";
import type { DrivenDevice } from "./driven_device.ts";
import type { Used } from "./driven_queue.ts";
import { below, count, type Load, stamped } from "./load.ts";

const BLOCK = 2 ** 14;
const BLOCKS = 256;
const SECTORS = BLOCK / 512;
const ROUNDS = 20;
const REQUESTS = 12;
const { In, Out, Flush, GetId, Discard, WriteZeroes } = BlkRequestType;

/** Where the disk is, and how it is opened. */
export interface BlkPlace {
  readonly path: string;
  readonly direct: boolean;
  readonly isBlockDevice?: boolean;
}

/** A guest that knows what must be on its disk. */
export class BlkLoad implements Load {
  readonly features = Feature.Version1 | Feature.IndirectDesc | BlkFeature.Flush |
    BlkFeature.ConfigWce | BlkFeature.Discard | BlkFeature.WriteZeroes | BlkFeature.Mq;
  readonly configSize = BlkConfig.size;
  readonly queues = 2;
  readonly resumes = true;
  readonly counts = {};
  readonly #disk: Owned<Fd>;
  readonly #place: BlkPlace;
  /** What is in each block: a number of {@linkcode stamped}, or 0 for zeroes. */
  readonly #content: number[] = Array(BLOCKS).fill(0);
  /** Blocks that may have either content: that of a write which nobody saw the end of. */
  readonly #unsure = new Map<number, number>();
  #left: Promise<Used>[] = [];
  #number = 0;
  #workers = 0;

  constructor(place: BlkPlace) {
    this.#place = place;
    if (place.isBlockDevice !== true) {
      using file = openFile(place.path, { write: true, create: true });
      truncate(file, BLOCKS * BLOCK);
    }
    this.#disk = openFile(place.path, { write: true, direct: place.direct });
  }

  /** Every other worker has rates that hold it back. */
  device() {
    const isLimited = this.#workers++ % 2 === 1;
    return {
      ...{ kind: "blk", disk: this.#disk.borrow(), readonly: false } as const,
      ...{ cache: this.#place.direct ? "none" : "auto", queues: 2, serial: "soak" } as const,
      ...(isLimited ? { limit: { operations: 3000, bytes: 2 ** 26, burst: 0.05 } } : {}),
    };
  }

  async round(device: DrivenDevice): Promise<void> {
    await this.#finishLeft();
    await device.frontend.setConfig(BlkConfig.offset.writeback, new Uint8Array([below(2)]));
    for (let i = 0; i < ROUNDS; i++) await this.#some(device);
  }

  async #finishLeft(): Promise<void> {
    const left = await Promise.all(this.#left);
    count(this, "requests of a former worker", left.length);
    for (const [block, number] of this.#unsure) this.#content[block] = number;
    this.#left = [];
    this.#unsure.clear();
  }

  async #some(device: DrivenDevice): Promise<void> {
    for (const queue of device.queues) queue.driver.freePlaces();
    const blocks = new Set<number>();
    while (blocks.size < REQUESTS) blocks.add(below(BLOCKS));
    const all = [...blocks].map((block) => this.#one(device, block));
    for (const queue of device.queues) queue.kick();
    await Promise.all(all);
    count(this, "requests", REQUESTS);
  }

  /** One request for a block, on any queue, and a look at what came of it. */
  async #one(device: DrivenDevice, block: number): Promise<void> {
    const number = this.#content[block];
    switch (below(9)) {
      case 0:
        await this.#request(device, Flush, 0, []);
        return;
      case 1: {
        const { data: [bytes] } = await this.#request(device, GetId, 0, [20]);
        const serial = new TextDecoder().decode(bytes.subarray(0, 4));
        if (serial !== "soak") throw new Error(`The serial number is ${serial}`);
        return;
      }
      case 2:
      case 3: {
        const type = below(2) === 0 ? Discard : WriteZeroes;
        const flags = type === Discard ? 0 : below(2) * WRITE_ZEROES_UNMAP;
        // What was discarded on a block device may read as anything.
        if (type === Discard && this.#place.isBlockDevice) {
          const own = ++this.#number;
          await this.#range(device, type, block, flags);
          await this.#write(device, block, [stamped(own, BLOCK)], own);
        } else {
          this.#content[block] = 0;
          await this.#range(device, type, block, flags);
        }
        return;
      }
      case 4:
      case 5:
      case 6: {
        const data = stamped(++this.#number, BLOCK);
        await this.#write(device, block, split(data), this.#number);
        return;
      }
      default: {
        const lengths = split(new Uint8Array(BLOCK)).map(({ length }) => length);
        const { data } = await this.#request(device, In, block, lengths);
        const wanted = number === 0 ? new Uint8Array(BLOCK) : stamped(number, BLOCK);
        let at = 0;
        for (const found of data.slice(0, lengths.length)) {
          if (found.some((byte, k) => byte !== wanted[at + k])) {
            throw new Error(`Block ${block} is not what was written`);
          }
          at += found.length;
        }
        count(this, "bytes read", BLOCK);
      }
    }
  }

  async #write(device: DrivenDevice, block: number, data: Uint8Array[], number: number) {
    this.#content[block] = number;
    await this.#request(device, Out, block, data);
    count(this, "bytes written", BLOCK);
  }

  async #range(device: DrivenDevice, type: number, block: number, flags: number): Promise<void> {
    const sector = block * SECTORS;
    const segment = BlkDiscardSegment.encode({ sector, sectorCount: SECTORS, flags });
    await this.#request(device, type, 0, [segment]);
  }

  async #request(
    device: DrivenDevice,
    type: number,
    block: number,
    data: readonly MockBuffer[],
  ): Promise<Used> {
    const used = await this.#send(device, type, block, data);
    const [status] = used.data[used.data.length - 1];
    if (status !== 0) throw new Error(`A request of type ${type} ended with ${status}`);
    return used;
  }

  #send(device: DrivenDevice, type: number, block: number, data: readonly MockBuffer[]) {
    const header = BlkRequestHeader.encode({ type, sector: block * SECTORS });
    const queue = device.queues[below(2)];
    const used = queue.request([header, ...data, 1], below(2) === 0);
    queue.kick();
    return used;
  }

  leave(device: DrivenDevice): void {
    for (const queue of device.queues) queue.driver.freePlaces();
    for (let block = 0; block < REQUESTS; block++) {
      const data = stamped(++this.#number, BLOCK);
      this.#unsure.set(block, this.#number);
      this.#left.push(this.#send(device, Out, block, [data]));
    }
  }

  [Symbol.dispose](): void {
    this.#disk[Symbol.dispose]();
  }
}

/** In one piece, in several, or in such as O_DIRECT cannot have. */
function split(data: Uint8Array): Uint8Array[] {
  const cuts = [[], [512, 4096], [100, 5000]][below(3)];
  const edges = [0, ...cuts, data.length];
  return edges.slice(1).map((end, i) => data.subarray(edges[i], end));
}
