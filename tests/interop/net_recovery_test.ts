import assert from "node:assert/strict";
import { MachineMemory } from "../../src/memory/mod.ts";
import { connectUnix, EventFd, Reactor, Window } from "../../src/os/mod.ts";
import { Frontend, type InflightRegion, type StartOptions } from "../../src/vhost/mod.ts";
import { Feature, MockDriver, NetConfig, NetFeature, NetHeader } from "../../src/virtio/mod.ts";
import { DeviceProcess } from "./device_process.ts";

const KILLS = Number(Deno.env.get("SPECTRUM_NET_KILLS") ?? 3);
const MEMORY = 2 ** 20;
const QUEUE_SIZE = 64;
const RECEIVE = 0;
const TRANSMIT = 1;
const FEATURES = Feature.Version1 | Feature.EventIdx | Feature.IndirectDesc |
  NetFeature.MrgRxbuf | NetFeature.Mac | NetFeature.Status;
/** A frame that needs two receive buffers, and its number behind the addresses and the type. */
const FRAME = 2000;
const NUMBER = 14;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Who is at the other end of the stream: sends every frame back, and keeps the numbers of those that came. */
class EchoPeer implements AsyncDisposable {
  readonly seen = new Set<number>();
  readonly #listener: Deno.UnixListener;
  readonly #serving: Promise<void>;
  #connection: Deno.UnixConn | undefined;

  constructor(path: string) {
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#serving = this.#serve();
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#listener) {
      this.#connection = connection;
      // One that is killed breaks off, with half a frame perhaps.
      await this.#echo(connection).catch(() => {});
      connection.close();
    }
  }

  async #echo(connection: Deno.UnixConn): Promise<void> {
    let rest = new Uint8Array(0);
    let isHeard = true;
    const buffer = new Uint8Array(65536);
    for (let count; (count = await connection.read(buffer)) !== null;) {
      const bytes = new Uint8Array([...rest, ...buffer.subarray(0, count)]);
      const view = new DataView(bytes.buffer);
      let at = 0;
      while (at + 4 <= bytes.length && at + 4 + view.getUint32(at) <= bytes.length) {
        this.seen.add(view.getUint32(at + 4 + NUMBER));
        at += 4 + view.getUint32(at);
      }
      rest = bytes.slice(at);
      try {
        for (let sent = 0; isHeard && sent < at;) {
          sent += await connection.write(bytes.subarray(sent, at));
        }
      } catch {
        // It has ended; what it has sent before is still here.
        isHeard = false;
      }
    }
  }

  async hangUp(): Promise<void> {
    await this.#connection?.closeWrite();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
  }
}

/** A guest that always has all its receive buffers out and packets under way. */
class BusyGuest implements Disposable {
  readonly memory: MachineMemory;
  readonly #window: Window;
  readonly #receive: MockDriver;
  readonly #transmit: MockDriver;
  readonly #events = Array.from({ length: 4 }, () => EventFd.create());
  readonly #buffers: number[] = [];
  readonly #packets: number[] = [];
  readonly #receiving = new Map<number, number>();
  readonly #sending = new Map<number, number>();
  /** Numbers of packets that were sent, and of frames that came back. */
  sent = 0;
  readonly received: number[] = [];
  #expected: { number: number; left: number } | undefined;

  constructor(window: Window) {
    this.#window = window;
    this.memory = MachineMemory.create(window, MEMORY);
    const place = { buffer: window.buffer, base: this.memory.ramBase, memoryBytes: MEMORY };
    this.#receive = new MockDriver(QUEUE_SIZE, place);
    this.#transmit = new MockDriver(QUEUE_SIZE, { ...place, from: MEMORY / 2 });
    for (let i = 0; i < QUEUE_SIZE; i++) {
      this.#buffers.push(this.#receive.place(1536));
      this.#packets.push(this.#transmit.place(NetHeader.size + FRAME));
    }
  }

  /** What a backend needs, to go on at what was used. */
  startOptions(): Omit<StartOptions, "inflight"> {
    const user = this.#window.base + this.memory.ramBase;
    const queue = (driver: MockDriver, index: number) => ({
      index,
      size: QUEUE_SIZE,
      desc: user + driver.desc,
      avail: user + driver.avail,
      used: user + driver.used,
      base: driver.usedIndex,
      kick: this.#events[2 * index].fd,
      call: this.#events[2 * index + 1].fd,
    });
    return {
      features: FEATURES,
      memory: this.memory.regions.map(({ guestAddress, size, fd }) => (
        { guestAddress, size, userAddress: user + guestAddress, fd }
      )),
      queues: [queue(this.#receive, RECEIVE), queue(this.#transmit, TRANSMIT)],
    };
  }

  /** Takes what is used, and makes available what is free. */
  turn(maySend: boolean): void {
    this.#takeReceived();
    for (const { head } of this.#transmit.takeUsed()) {
      const address = this.#sending.get(head);
      assert(address !== undefined, `packet ${head} was used twice`);
      this.#sending.delete(head);
      this.#packets.push(address);
    }
    for (let address; (address = this.#buffers.pop()) !== undefined;) {
      const { head } = this.#receive.add([{ address, length: 1536, writable: true }]);
      this.#receiving.set(head, address);
    }
    for (let address; maySend && (address = this.#packets.pop()) !== undefined;) {
      const at = this.memory.ramBase + address;
      this.#window.view.setUint32(at + NetHeader.size + NUMBER, this.sent++);
      const length = NetHeader.size + FRAME;
      const { head } = this.#transmit.add([{ address, length, writable: false }]);
      this.#sending.set(head, address);
    }
    for (const index of [RECEIVE, TRANSMIT]) this.#events[2 * index].signal();
  }

  #takeReceived(): void {
    for (const { head, written } of this.#receive.takeUsed()) {
      const address = this.#receiving.get(head);
      assert(address !== undefined, `buffer ${head} was used twice`);
      this.#receiving.delete(head);
      this.#buffers.push(address);
      const at = this.memory.ramBase + address;
      if (this.#expected === undefined) {
        assert.equal(this.#window.view.getUint16(at + NetHeader.offset.numBuffers, true), 2);
        const number = this.#window.view.getUint32(at + NetHeader.size + NUMBER);
        this.#expected = { number, left: NetHeader.size + FRAME };
      }
      this.#expected.left -= written;
      if (this.#expected.left > 0) continue;
      assert.equal(this.#expected.left, 0);
      this.received.push(this.#expected.number);
      this.#expected = undefined;
    }
  }

  /** Packets that the device has, and buffers. */
  get underWay(): [number, number] {
    return [this.#sending.size, this.#receiving.size];
  }

  [Symbol.dispose](): void {
    for (const event of this.#events) event[Symbol.dispose]();
    this.memory[Symbol.dispose]();
  }
}

Deno.test("a net worker that is killed gives back every buffer and packet once", async () => {
  const folder = await Deno.makeTempDir({ prefix: "spectrum-net-" });
  try {
    await using peer = new EchoPeer(`${folder}/peer.sock`);
    using reactor = new Reactor();
    using guest = new BusyGuest(Window.reserve(2 ** 36));
    let inflight: InflightRegion | undefined;
    for (let life = 0; life <= KILLS; life++) {
      const words = ["--stream", `${folder}/peer.sock`, "--mac", "52:54:00:00:00:07"];
      await using device = await DeviceProcess.start("net", `${folder}/${life}.sock`, words);
      const configs: Uint8Array[] = [];
      using frontend = new Frontend(connectUnix(device.socket), reactor, {
        name: "net0",
        configSize: NetConfig.size,
        queueCount: 3,
        onConfigChange: (config) => configs.push(config),
      });
      const offer = await frontend.negotiate();
      assert.equal(offer.queueCount, 3);
      assert.equal(NetConfig.decode(offer.config).mac[5], 7);
      await frontend.start({ ...guest.startOptions(), inflight });
      const before = guest.received.length;
      const most = 200 + Math.floor(Math.random() * 300);
      for (let i = 0; guest.received.length < before + most; i++) {
        assert.ok(i < 2000, `${guest.received.length} frames came, of ${guest.sent}`);
        guest.turn(true);
        await pause(2);
      }
      if (life < KILLS) {
        await device.kill();
        inflight = frontend.takeInflight();
        assert.ok(inflight !== undefined);
        continue;
      }
      for (let i = 0; i < 1000 && guest.underWay[0] > 0; i++) {
        guest.turn(false);
        await pause(2);
      }
      assert.deepEqual(guest.underWay, [0, QUEUE_SIZE], "every packet and every buffer is there");
      // The end of the stream is the end of the link, and the monitor hears of it.
      const hungUp = peer.hangUp();
      // What it is still sending needs buffers.
      for (let i = 0; i < 500 && configs.length === 0; i++) {
        guest.turn(false);
        await pause(5);
      }
      await hungUp;
      assert.equal(NetConfig.decode(configs[0]).status, 0);
      const bases = await frontend.stop();
      assert.deepEqual(bases.map(({ index }) => index), [RECEIVE, TRANSMIT]);
    }
    for (let i = 0; i < 500 && peer.seen.size < guest.sent; i++) await pause(10);
    // One that has the time to end in order takes along what it had ready for a stream that was full.
    const lost = guest.sent - peer.seen.size;
    assert.ok(lost <= KILLS * QUEUE_SIZE, `${lost} packets of ${guest.sent} did not arrive`);
    console.log(`${guest.sent} packets, ${guest.received.length} came back, ${KILLS} kills`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
