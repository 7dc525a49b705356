import type { MachineMemory } from "../../src/memory/mod.ts";
import { EventFd, type Reactor } from "../../src/os/mod.ts";
import type { SharedQueue, StartOptions } from "../../src/vhost/mod.ts";

/** VIRTIO_F_VERSION_1 */
export const VERSION_1 = 1n << 32n;
const QUEUE_SIZE = 64;
const DESC = 0x1000;
const AVAIL = 0x2000;
const USED = 0x3000;
/** Of one request: head, data, status. */
const HEADER = 0x4000;
const STATUS = 0x4800;
/** Guest address of the data of a request. */
export const DATA = 0x5000;

/** The least driver of a virtio-blk queue: one request at a time, three descriptors, no notification tricks. */
export class TinyDriver implements Disposable {
  readonly kick = EventFd.create();
  readonly call = EventFd.create();
  #index = 0;

  /** @param windowBase the address of the window in which the memory lies */
  constructor(
    private readonly memory: MachineMemory,
    private readonly windowBase: number,
    private readonly reactor: Reactor,
  ) {}

  /** What a backend needs to serve this driver, from an index of its available ring on. */
  startOptions(from: number): Omit<StartOptions, "inflight"> {
    const base = this.windowBase + this.memory.ramBase;
    const queue: SharedQueue = {
      index: 0,
      size: QUEUE_SIZE,
      desc: base + DESC,
      avail: base + AVAIL,
      used: base + USED,
      base: from,
      kick: this.kick.fd,
      call: this.call.fd,
    };
    const memory = this.memory.regions.map(({ guestAddress, size, fd }) => (
      { guestAddress, size, userAddress: base + guestAddress, fd }
    ));
    return { features: VERSION_1, memory, queues: [queue] };
  }

  /**
   * virtio 1.2 §2.7.5 and §5.2.6: queues one request (0 read, 1 write, 4 flush) and waits for its status.
   *
   * @param data guest address of its data, below 2^53
   */
  async request(type: number, sector: number, length: number, data = DATA): Promise<number> {
    const { guest } = this.memory;
    const put = (address: number, ...words: [value: number, size: 2 | 4][]) => {
      const bytes = new DataView(new ArrayBuffer(words.reduce((sum, [, size]) => sum + size, 0)));
      let at = 0;
      for (const [value, size] of words) {
        if (size === 2) bytes.setUint16(at, value, true);
        else bytes.setUint32(at, value, true);
        at += size;
      }
      guest.write(address, new Uint8Array(bytes.buffer));
    };
    const [next, write] = [1, 2];
    const dataFlags = type === 0 ? next | write : next;
    put(HEADER, [type, 4], [0, 4], [sector, 4], [0, 4]);
    guest.write(STATUS, new Uint8Array([0xff]));
    put(DESC, [HEADER, 4], [0, 4], [16, 4], [next, 2], [1, 2]);
    put(DESC + 16, [data % 2 ** 32, 4], [Math.floor(data / 2 ** 32), 4], [length, 4], [
      dataFlags,
      2,
    ], [2, 2]);
    put(DESC + 32, [STATUS, 4], [0, 4], [1, 4], [write, 2], [0, 2]);
    put(AVAIL + 4 + 2 * (this.#index % QUEUE_SIZE), [0, 2]);
    const used = Promise.withResolvers<void>();
    const unwatch = this.reactor.add(this.call.fd, () => {
      this.call.drain();
      if (this.used === this.#index) used.resolve();
    });
    this.#index = (this.#index + 1) & 0xffff;
    put(AVAIL + 2, [this.#index, 2]);
    this.kick.signal();
    const timer = setTimeout(() => used.reject(new Error("The request was not answered")), 20_000);
    await used.promise.finally(() => {
      clearTimeout(timer);
      unwatch();
    });
    return guest.read(STATUS, 1)[0];
  }

  /** Index of the used ring. */
  get used(): number {
    return new DataView(this.memory.guest.read(USED + 2, 2).buffer).getUint16(0, true);
  }

  [Symbol.dispose](): void {
    this.kick[Symbol.dispose]();
    this.call[Symbol.dispose]();
  }
}
