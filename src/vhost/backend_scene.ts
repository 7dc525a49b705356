/** For tests: a backend with a device of its own, and a frontend that says what it is told to. */

import assert from "node:assert/strict";
import { MachineMemory } from "../memory/mod.ts";
import { EventFd, type Fd, Poller, socketPair, Window } from "../os/mod.ts";
import { DescriptorChain, MockDriver, type VirtioDevice, type Virtqueue } from "../virtio/mod.ts";
import {
  Backend,
  FrontendMessage as Message,
  localLink,
  MemoryTable,
  memoryTableSize,
  ProtocolFeature,
  U64,
  VringAddr,
  VringState,
} from "./mod.ts";
import { RawFrontend } from "./raw_frontend.ts";

export const MEMORY = 2 ** 20;
/** What the frontend calls guest address 0. */
export const USER = 0x7f12_3400_0000;
export const window: Window = Window.reserve(2 ** 36);

/** Fills what it may write with its first byte read, plus one; holds chains back when told to. */
export class TestDevice implements VirtioDevice {
  readonly id = 1;
  readonly features = 0x20n;
  readonly queueCount = 2;
  readonly config = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
  hold = false;
  hasNews?: () => boolean | undefined;
  readonly held: [Virtqueue, DescriptorChain][] = [];
  started: bigint | undefined;
  settles = 0;
  start(features: bigint): void {
    this.started = features;
  }
  writeConfig(offset: number, bytes: Uint8Array): boolean {
    if (offset > 3) return false;
    this.config.set(bytes, offset);
    return true;
  }
  process(queue: Virtqueue): void {
    for (let chain = new DescriptorChain(8); queue.next(chain); chain = new DescriptorChain(8)) {
      this.held.push([queue, chain]);
    }
    if (!this.hold && this.held.length > 0) this.settle();
  }
  settle(): void {
    this.settles++;
    for (const [queue, chain] of this.held.splice(0)) {
      const value = window.view.getUint8(chain.offsets[0]) + 1;
      for (let i = chain.readableCount; i < chain.count; i++) {
        window.bytes(chain.offsets[i], chain.lengths[i]).fill(value);
      }
      queue.complete(chain, chain.writableBytes);
    }
  }
}

/** Guest memory of {@linkcode MEMORY} bytes from guest address 0 on, in this process twice. */
export class Scene implements Disposable {
  readonly memory = MachineMemory.create(window, MEMORY);
  readonly device = new TestDevice();
  readonly log: string[] = [];
  readonly backend: Backend;
  readonly frontend: RawFrontend;
  readonly kick = EventFd.create();
  readonly call = EventFd.create();
  readonly #poller = new Poller();
  isOpen = true;

  constructor() {
    const [ours, theirs] = socketPair();
    this.backend = new Backend(theirs, this.device, {
      window,
      link: localLink,
      poller: this.#poller,
      kickTag: 0,
      log: (text) => this.log.push(text),
    });
    this.frontend = new RawFrontend(ours, () => this.isOpen &&= this.backend.receive());
  }

  driver(queue = 0, from = 0x10000 * (queue + 1)): MockDriver {
    const base = this.memory.ramBase;
    return new MockDriver(8, { buffer: window.buffer, base, memoryBytes: MEMORY, from });
  }

  negotiate(protocol: bigint = ProtocolFeature.ReplyAck): void {
    const { frontend } = this;
    assert(frontend.send(Message.SetOwner));
    const features = frontend.ask(Message.GetFeatures);
    assert(frontend.send(Message.SetProtocolFeatures, U64.encode({ value: protocol })));
    assert.equal(frontend.confirm(Message.SetFeatures, U64.encode({ value: features })), true);
  }

  memoryTable(fds: readonly Fd[] = [this.memory.regions[0].fd]): boolean | undefined {
    const regions = [{ guestAddress: 0, size: MEMORY, userAddress: USER, mmapOffset: 0 }];
    const payload = MemoryTable.encode({ count: 1, regions }).subarray(0, memoryTableSize(1));
    return this.frontend.confirm(Message.SetMemTable, payload, [...fds]);
  }

  queue(driver: MockDriver, index = 0, base = 0, call = this.call): void {
    const { frontend } = this;
    const which = U64.encode({ value: BigInt(index) });
    const state = (num: number) => VringState.encode({ index, num });
    const address = VringAddr.encode({
      index,
      descriptor: USER + driver.desc,
      available: USER + driver.avail,
      used: USER + driver.used,
    });
    assert.equal(frontend.confirm(Message.SetVringNum, state(driver.size)), true);
    assert.equal(frontend.confirm(Message.SetVringBase, state(base)), true);
    assert.equal(frontend.confirm(Message.SetVringAddr, address), true);
    assert.equal(frontend.confirm(Message.SetVringCall, which, [call.fd]), true);
    assert.equal(frontend.confirm(Message.SetVringKick, which, [this.kick.fd]), true);
    assert.equal(frontend.confirm(Message.SetVringEnable, state(1)), true);
  }

  /** Kicks, and lets the backend notice. */
  work(): void {
    this.kick.signal();
    for (let n = this.#poller.wait(0), i = 0; i < n; i++) this.backend.kicked(this.#poller.tag(i));
    while (this.backend.run());
  }

  [Symbol.dispose](): void {
    this.backend[Symbol.dispose]();
    this.frontend[Symbol.dispose]();
    this.kick[Symbol.dispose]();
    this.call[Symbol.dispose]();
    this.#poller[Symbol.dispose]();
    this.memory[Symbol.dispose]();
  }
}

/** One whose queue 0 runs. */
export function running(): { scene: Scene; driver: MockDriver } {
  const scene = new Scene();
  scene.negotiate();
  assert.equal(scene.memoryTable(), true);
  const driver = scene.driver();
  scene.queue(driver);
  return { scene, driver };
}

/** A request that is answered. */
export function roundTrip(scene: Scene, driver: MockDriver): void {
  const { addresses } = driver.add([new Uint8Array([41]), 4]);
  scene.work();
  assert.deepEqual(driver.takeUsed().map((used) => used.written), [4]);
  assert.deepEqual([...driver.bytes.slice(addresses[1], addresses[1] + 4)], [42, 42, 42, 42]);
}
