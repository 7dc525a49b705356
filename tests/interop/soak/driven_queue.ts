import { EventFd, type Fd } from "../../../src/os/mod.ts";
import type { SharedQueue } from "../../../src/vhost/mod.ts";
import { type MockBuffer, MockDriver, type MockDriverOptions } from "../../../src/virtio/mod.ts";

/** A request that the device has completed. */
export interface Used {
  /** Bytes that the device says it wrote. */
  readonly written: number;
  /** A copy of each buffer that the device may write. */
  readonly data: readonly Uint8Array[];
}

/** A queue of a real worker, whose requests are promises. */
export class DrivenQueue implements Disposable {
  driver: MockDriver;
  readonly #kick = EventFd.create();
  readonly #call = EventFd.create();
  readonly #underWay = new Map<number, {
    readonly writable: readonly { readonly address: number; readonly length: number }[];
    readonly used: PromiseWithResolvers<Used>;
  }>();

  constructor(
    readonly index: number,
    readonly size: number,
    private readonly place: MockDriverOptions,
  ) {
    this.driver = new MockDriver(size, place);
  }

  /** Raised when something is used. */
  get call(): Fd {
    return this.#call.fd;
  }

  /** Requests that the device has. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /** Begins anew; nobody hears of what was under way. */
  restart(): void {
    this.#underWay.clear();
    this.driver = new MockDriver(this.size, this.place);
  }

  /** What a frontend tells of it, to go on at what was used. @param base user address of guest address 0 */
  shared(base: number): SharedQueue {
    const { driver, index, size } = this;
    return {
      index,
      size,
      desc: base + driver.desc,
      avail: base + driver.avail,
      used: base + driver.used,
      base: driver.usedIndex,
      kick: this.#kick.fd,
      call: this.#call.fd,
    };
  }

  /** Makes a request, which the device learns of by the next {@linkcode kick}. */
  request(buffers: readonly MockBuffer[], indirect = false): Promise<Used> {
    const { head, addresses } = this.driver.add(buffers, { fill: 0, indirect });
    const used = Promise.withResolvers<Used>();
    const writable = buffers.flatMap((buffer, i) => {
      const length = lengthToWrite(buffer);
      return length === undefined ? [] : [{ address: addresses[i], length }];
    });
    this.#underWay.set(head, { writable, used });
    return used.promise;
  }

  /** Gives the device buffers, and each anew when it was used and told of; until the queue begins anew. */
  receive(count: number, length: number, taken: (bytes: Uint8Array) => void): void {
    const { driver } = this;
    const offer = async (address: number) => {
      const { written, data: [bytes] } = await this.request([{ address, length, writable: true }]);
      if (driver !== this.driver) return;
      taken(bytes.subarray(0, written));
      void offer(address);
      this.kick();
    };
    for (let i = 0; i < count; i++) void offer(driver.place(length));
  }

  kick(): void {
    this.#kick.signal();
  }

  /** Takes what is used. */
  collect(): void {
    this.#call.drain();
    for (const { head, written } of this.driver.takeUsed()) {
      const request = this.#underWay.get(head);
      if (request === undefined) throw new Error(`Queue ${this.index} has used ${head} twice`);
      this.#underWay.delete(head);
      const data = request.writable.map(({ address, length }) =>
        this.driver.bytes.slice(address, address + length)
      );
      request.used.resolve({ written, data });
    }
  }

  [Symbol.dispose](): void {
    this.#kick[Symbol.dispose]();
    this.#call[Symbol.dispose]();
  }
}

function lengthToWrite(buffer: MockBuffer): number | undefined {
  if (typeof buffer === "number") return buffer;
  return "writable" in buffer && buffer.writable ? buffer.length : undefined;
}
