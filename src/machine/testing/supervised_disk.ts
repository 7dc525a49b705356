/** For tests: a disk with its supervisor and any backend, and a driver that stands for the guest. */

import { pciWindows } from "../../boot/mod.ts";
import { SharedState, StateArena } from "../../bus/mod.ts";
import { MachineMemory } from "../../memory/mod.ts";
import { type Reactor, Window } from "../../os/mod.ts";
import { createPlatform, type PlatformControl } from "../../pci/mod.ts";
import { FakeVm, TestDriver } from "../../pci/testing.ts";
import { BlkRequestType, type MockBuffer, MockDriver } from "../../virtio/mod.ts";
import type { Backend } from "../backend.ts";
import { connectDevice } from "../connect_device.ts";
import { deviceKinds } from "../device_kind.ts";
import { DeviceSupervisor } from "../device_supervisor.ts";
import { Log } from "../log.ts";
import { SharedMappings } from "../shared_mappings.ts";

const MEMORY = 2 ** 27;
const QUEUE = 64;
const SECTOR = 512;
export const BLOCK = 2 ** 15;

/** VERSION_1. */
const WANTED = 1n << 32n;

/** The window of this process. */
export const window: Window = Window.reserve(2 ** 36);

/** Something that happened to the disk's backend. */
export interface Change {
  readonly kind: "device-away" | "device-back";
  readonly detail: string;
}

/** What a request asks for, and how it ended. */
export interface Request {
  readonly head: number;
  /** Guest addresses of its data and its status. */
  readonly data: number;
  readonly status: number;
}

/** A disk that the test is the driver of. */
export class SupervisedDisk implements AsyncDisposable {
  readonly changes: Change[] = [];
  readonly lines: string[] = [];
  /** What other devices of the machine show. */
  readonly mappings: SharedMappings;
  readonly device: TestDriver;
  queue!: MockDriver;
  #queues = 0;

  private constructor(
    readonly supervisor: DeviceSupervisor,
    private readonly memory: MachineMemory,
    private readonly platform: PlatformControl,
    vm: FakeVm,
    told: { changes: Change[]; lines: string[]; mappings: SharedMappings },
  ) {
    this.changes = told.changes;
    this.lines = told.lines;
    this.mappings = told.mappings;
    this.device = new TestDriver(platform, vm, 1);
  }

  /** Connects the backend; the driver has not started yet. */
  static async create(backend: Backend, reactor: Reactor): Promise<SupervisedDisk> {
    const kind = deviceKinds.blk;
    const parts = { name: "disk0", kind, backend, maxQueues: 1, history: { restarts: 0 } };
    const memory = MachineMemory.create(window, MEMORY);
    const vm = new FakeVm();
    const arena = new StateArena(new SharedState(new SharedArrayBuffer(2 ** 20)));
    const windows = pciWindows(memory.guest, 40);
    const virtio = [{ ...kind, name: "disk0", maxQueues: 1 }];
    const events = { raise() {}, stopping: false };
    const plan = { ram: memory.regions, windows, virtio };
    const platform = createPlatform(plan, { arena, vm, events });
    const mappings = new SharedMappings();
    const told = { changes: [] as Change[], lines: [] as string[], mappings };
    const supervisor = new DeviceSupervisor(
      await connectDevice(parts, reactor),
      platform.virtio[0],
      {
        ...{ memory, window, mappings, reactor, restored: false },
        log: new Log({ format: "text", level: "info", write: (line) => told.lines.push(line) }),
        onChange: (_device, kind, detail) => told.changes.push({ kind, detail }),
      },
    );
    return new SupervisedDisk(supervisor, memory, platform, vm, told);
  }

  /** Does what Linux does to use the device, with a fresh queue. */
  start(): void {
    // Each one in memory of its own: a backend that is gone may still know the last.
    const from = 2 ** 16 + this.#queues++ * 2 ** 25;
    this.queue = new MockDriver(QUEUE, {
      buffer: window.buffer,
      base: this.memory.ramBase,
      memoryBytes: MEMORY,
      from,
    });
    const vector = 1;
    this.device.start(WANTED, () => this.device.placeQueue(0, vector, this.queue, QUEUE));
  }

  /** As Linux does it: writes 0 and waits until it reads so. */
  async reset(): Promise<void> {
    this.device.status = 0;
    await until(() => this.device.status === 0, 10_000);
  }

  write(block: number, data: Uint8Array): Request {
    return this.#request(BlkRequestType.Out, block, data);
  }

  read(block: number): Request {
    return this.#request(BlkRequestType.In, block, BLOCK);
  }

  /** Into memory at a guest address, which may be another device's. */
  readInto(block: number, address: number): Request {
    return this.#request(BlkRequestType.In, block, { address, length: BLOCK, writable: true });
  }

  /** Bytes that a request has read. */
  dataOf({ data }: Request): Uint8Array {
    return this.memory.guest.read(data, BLOCK);
  }

  /** 0 for a request that went well (§5.2.6). */
  statusOf({ status }: Request): number {
    return this.memory.guest.read(status, 1)[0];
  }

  /** Waits until so many requests are used, and gives their heads. */
  async used(count: number, limit = 10_000): Promise<number[]> {
    const heads: number[] = [];
    await until(() => {
      heads.push(...this.queue.takeUsed().map(({ head }) => head));
      return heads.length >= count;
    }, limit);
    return heads;
  }

  #request(type: number, block: number, data: MockBuffer): Request {
    const header = new Uint8Array(16);
    const view = new DataView(header.buffer);
    view.setUint32(0, type, true);
    view.setBigUint64(8, BigInt(block * BLOCK / SECTOR), true);
    const { head, addresses } = this.queue.add([header, data, 1], { fill: 0xff });
    this.device.kick(0);
    return { head, data: addresses[1], status: addresses[2] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.mappings[Symbol.dispose]();
    await this.supervisor.close();
    this.platform[Symbol.dispose]();
    this.memory[Symbol.dispose]();
  }
}

/** Waits until something is so, milliseconds at most. */
export async function until(condition: () => boolean, limit = 5000): Promise<void> {
  const end = performance.now() + limit;
  while (!condition()) {
    if (performance.now() > end) {
      throw new Error(`It has not come about in ${limit} ms: ${condition}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
