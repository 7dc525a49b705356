import assert from "node:assert/strict";
import { MachineMemory } from "../../memory/mod.ts";
import { EventFd, leakedDescriptors, Reactor, trackDescriptors, Window } from "../../os/mod.ts";
import { Starter } from "../../sandbox/mod.ts";
import { Frontend } from "../../vhost/mod.ts";
import { Feature, NetConfig, NetStatus } from "../../virtio/mod.ts";
import { Log } from "../log.ts";
import { UserNetBackend } from "./user_net_backend.ts";

const QUEUE_SIZE = 8;
/** Places of a queue's three parts, and of its buffer, from the queue's own page on. */
const AVAIL = 0x400, USED = 0x800, BUFFER = 0x1000, QUEUE = 0x4000;
const BUFFER_SIZE = 2048, HEADER = 12;
const WRITE = 2;

/** The least driver of a network device: a buffer for a packet each way, one at a time. */
class OnePacketDriver implements Disposable {
  readonly #memory: MachineMemory;
  readonly #base: number;
  readonly #queues = [0, 1].map((index) => (
    { index, kick: EventFd.create(), call: EventFd.create(), given: 0 }
  ));

  constructor(memory: MachineMemory, windowBase: number) {
    this.#memory = memory;
    this.#base = windowBase + memory.ramBase;
  }

  async start(frontend: Frontend): Promise<void> {
    for (const queue of this.#queues) queue.given = 0;
    this.#memory.guest.write(QUEUE, new Uint8Array(2 * QUEUE));
    await frontend.start({
      features: Feature.Version1,
      memory: this.#memory.regions.map(({ guestAddress, size, fd }) => (
        { guestAddress, size, userAddress: this.#base + guestAddress, fd }
      )),
      queues: this.#queues.map(({ index, kick, call }) => {
        const at = this.#base + (1 + index) * QUEUE;
        const parts = { desc: at, avail: at + AVAIL, used: at + USED };
        return { index, size: QUEUE_SIZE, ...parts, base: 0, kick: kick.fd, call: call.fd };
      }),
    });
  }

  /** Sends a frame, and gives the first that comes back; undefined when none does. */
  async exchange(frame: Uint8Array): Promise<Uint8Array | undefined> {
    this.#give(0, new Uint8Array(HEADER));
    const taken = this.#used(0);
    this.#give(1, Uint8Array.from([...new Uint8Array(HEADER), ...frame]));
    for (let i = 0; i < 300 && this.#used(0) === taken; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return this.#used(0) === taken
      ? undefined
      : this.#memory.guest.read(QUEUE + BUFFER + HEADER, BUFFER_SIZE - HEADER);
  }

  /** Makes the buffer of a queue available, with what it holds. */
  #give(index: number, content: Uint8Array): void {
    const queue = this.#queues[index];
    const { guest } = this.#memory;
    const at = (1 + index) * QUEUE;
    guest.write(at + BUFFER, content);
    const descriptor = new DataView(new ArrayBuffer(16));
    descriptor.setUint32(0, at + BUFFER, true);
    descriptor.setUint32(8, index === 0 ? BUFFER_SIZE : content.length, true);
    descriptor.setUint16(12, index === 0 ? WRITE : 0, true);
    guest.write(at, new Uint8Array(descriptor.buffer));
    queue.given++;
    guest.write(at + AVAIL + 2, Uint8Array.from([queue.given & 0xff, queue.given >> 8]));
    queue.kick.signal();
  }

  #used(index: number): number {
    const [low, high] = this.#memory.guest.read((1 + index) * QUEUE + USED + 2, 2);
    return low | high << 8;
  }

  [Symbol.dispose](): void {
    for (const { kick, call } of this.#queues) {
      kick[Symbol.dispose]();
      call[Symbol.dispose]();
    }
  }
}

/** A question for the router's address, which passt answers for whoever asks. */
const ARP = Uint8Array.from([
  ...[255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6],
  ...[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0],
  ...[0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
]);

const isAnswer = (frame: Uint8Array | undefined) =>
  frame !== undefined && frame[12] === 8 && frame[13] === 6 && frame[21] === 2;

async function eventually(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(what);
}

Deno.test("a worker and passt outlive each other", async () => {
  trackDescriptors();
  {
    using reactor = new Reactor();
    const starter = Starter.spawn(reactor);
    const changes: string[] = [];
    const backend = new UserNetBackend({
      ...{ starter, device: "net0", config: { publish: [] }, mac: "02:00:00:00:00:01" },
      log: new Log({ format: "text", level: "error" }),
      onChange: (_device, kind) => changes.push(kind),
    });
    try {
      const window = Window.reserve(2 ** 32);
      using memory = MachineMemory.create(window, 0x10_0000);
      using driver = new OnePacketDriver(memory, window.base);
      const announced: Uint8Array[] = [];
      const connect = async () => {
        const frontend = new Frontend(await backend.connect(), reactor, {
          ...{ name: "net0", configSize: NetConfig.size, queueCount: 2 },
        });
        frontend.onConfigChange = (config) => announced.push(config);
        const { config } = await frontend.negotiate();
        assert.deepEqual([...config.subarray(0, 6)], [2, 0, 0, 0, 0, 1]);
        await driver.start(frontend);
        return frontend;
      };
      const { passt } = await (async () => {
        using first = await connect();
        assert.ok(isAnswer(await driver.exchange(ARP)), "through the first worker");
        void first;
        return backend.net;
      })();
      assert.ok(passt !== undefined);

      using second = await connect();
      assert.ok(isAnswer(await driver.exchange(ARP)), "through its successor");
      assert.equal(backend.net.passt, passt);

      const { pid } = backend;
      Deno.kill(passt, "SIGKILL");
      await eventually(() => changes.includes("device-back"), "passt does not come back");
      const isUp = (config: Uint8Array) =>
        (config[NetConfig.offset.status] & NetStatus.LinkUp) !== 0;
      await eventually(
        () => announced.length > 1 && isUp(announced[announced.length - 1]),
        "no link",
      );
      assert.deepEqual(announced.map(isUp), [false, true]);
      assert.ok(isAnswer(await driver.exchange(ARP)), "through its successor's new stream");
      assert.equal(backend.pid, pid);
      assert.equal(second.error, undefined);
      assert.deepEqual(changes, ["device-away", "device-back"]);
    } finally {
      backend.kill();
      await backend.finish();
      backend[Symbol.dispose]();
      await starter.close();
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  const leaks = leakedDescriptors();
  trackDescriptors(false);
  assert.deepEqual(leaks, []);
});
