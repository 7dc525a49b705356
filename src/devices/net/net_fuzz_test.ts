// A hostile guest, a hostile frontend and a hostile stream against the device. SPECTRUM_FUZZ_CHAINS=100000000 for a run
// by hand, SPECTRUM_SEED to repeat one.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { GuestMemory, MachineMemory } from "../../memory/mod.ts";
import { EventFd, Poller, socketPair } from "../../os/mod.ts";
import {
  Backend,
  FrontendMessage,
  localLink,
  MemoryTable,
  memoryTableSize,
  ProtocolFeature,
  U64,
  VringAddr,
  VringState,
} from "../../vhost/mod.ts";
import { RawFrontend } from "../../vhost/testing.ts";
import { DescFlag, Feature, NetControl, NetFeature, Virtqueue } from "../../virtio/mod.ts";
import { Dice, openNumbers, windowMark } from "../fuzzing.ts";
import { window } from "../testing.ts";
import { NetDevice, StreamEnd } from "./mod.ts";
import { StreamPeer } from "./testing.ts";

const CHAINS = Number(Deno.env.get("SPECTRUM_FUZZ_CHAINS") ?? 1_000_000);
const SEED = Number(Deno.env.get("SPECTRUM_SEED") ?? Math.floor(Math.random() * 2 ** 31) + 1);
const MESSAGES = 6_000;
const BATCHES_PER_MATCH = 300;
const MEMORY = 2 ** 19;
const QUEUE_SIZE = 256;
/** Guest addresses: of the parts of each queue, of indirect tables, of everything else. */
const QUEUE_PLACES = 0x4000;
const AVAIL = 0x1000;
const USED = 0x2000;
const TABLES = 0x10000;
const DATA = 0x50000;
const DESC = 16;
/** Descriptors of an indirect table; each head has one of its own, since a device may look at it late. */
const TABLE_SIZE = 20;
/** Pieces of a long chain: more than a receive buffer may have. */
const LONG = 70;
const MAC = "52:54:00:00:00:01";
const LENGTHS = [1, 2, 11, 12, 13, 14, 26, 60, 74, 1514, 1526, 1536, 4096, 9000, 65535, 65547];
const WORDS = [0, 1, 2, 3, 4, 7, 0x80, 0xff];
const HALVES = [0, 12, 14, 34, 54, 240, 1500, 0x7fff, 0xfffe, 0xffff];

/** What a guest has made available. */
interface Offered {
  readonly descriptors: number[];
  /** Pairs of guest address and length that the device may write. */
  readonly writable: number[];
}

/** One queue of a guest, which keeps in mind what the device may do. */
class FuzzQueue {
  queue: Virtqueue;
  readonly offered = new Map<number, Offered>();
  /** It may have overwritten its own rings. */
  isSpoilt = false;
  /** A descriptor may lead into any other that is still in the tables. */
  hasLied = false;
  readonly #free: number[] = [];
  readonly #place: number;
  #available = 0;
  #seen = 0;

  constructor(
    readonly index: number,
    /** Which of the queues of its guest it is. */
    readonly slot: number,
    private readonly guest: FuzzGuest,
  ) {
    this.#place = slot * QUEUE_PLACES;
    this.queue = this.restart();
  }

  /** Sets the queue up anew, as a driver does that has broken it. */
  restart(): Virtqueue {
    const { guest } = this;
    guest.bytes.fill(0, this.#place, this.#place + QUEUE_PLACES);
    this.offered.clear();
    this.isSpoilt = this.hasLied = false;
    this.#free.splice(0, Infinity, ...Array(QUEUE_SIZE).keys());
    this.#available = this.#seen = 0;
    const at = guest.base + this.#place;
    return this.queue = new Virtqueue({
      index: this.index,
      memory: guest.memory,
      rings: { size: QUEUE_SIZE, desc: at, avail: at + AVAIL, used: at + USED },
      eventIndex: guest.dice.once(2),
      indirect: true,
      base: 0,
      signal: () => {},
    });
  }

  get room(): number {
    return this.#free.length;
  }

  /** Makes a chain available; pieces are guest address, length, and whether the device may write them. */
  offer(pieces: readonly (readonly [number, number, boolean])[]): void {
    const { guest } = this;
    const { dice } = guest;
    const indirect = pieces.length <= TABLE_SIZE && dice.once(3);
    const count = indirect ? 1 : pieces.length;
    const descriptors = this.#free.splice(-count);
    const writable: number[] = [];
    const own = TABLES + (this.slot * QUEUE_SIZE + descriptors[0]) * TABLE_SIZE * DESC;
    const table = indirect ? own : this.#place;
    for (const [i, [address, length, write]] of pieces.entries()) {
      const index = indirect ? i : descriptors[i];
      const isLast = i === pieces.length - 1;
      const next = isLast ? 0 : indirect ? i + 1 : descriptors[i + 1];
      let flags = (write ? DescFlag.Write : 0) | (isLast ? 0 : DescFlag.Next);
      let lie = next;
      if (dice.once(3000)) {
        flags = dice.below(8);
        lie = dice.of([next, index, 0xffff, dice.below(QUEUE_SIZE)]);
        this.hasLied = true;
      }
      guest.descriptor(table + index * DESC, address, length, flags, lie);
      if ((flags & DescFlag.Write) === 0) continue;
      writable.push(address, length);
      if (address < TABLES && address + length > 0) this.isSpoilt = true;
    }
    const [head] = descriptors;
    if (indirect) {
      const more = dice.once(3000) ? dice.below(32) : 0;
      const length = pieces.length * DESC + more;
      if (more > 0) this.hasLied = true;
      guest.descriptor(this.#place + head * DESC, own, length, DescFlag.Indirect, 0);
    }
    this.offered.set(head, { descriptors, writable });
    const ring = this.#place + AVAIL + 4 + 2 * (this.#available % QUEUE_SIZE);
    const isOther = dice.once(5000);
    if (isOther) this.hasLied = true;
    guest.view.setUint16(ring, isOther ? dice.below(0x10000) : head, true);
    this.#available = (this.#available + 1) & 0xffff;
    const isFarAway = dice.once(20_000);
    if (isFarAway) this.hasLied = true;
    const index = isFarAway ? dice.below(0x10000) : this.#available;
    guest.view.setUint16(this.#place + AVAIL + 2, index, true);
  }

  /** Looks at what the device has used: it was offered, and no more than that was written. */
  collect(): void {
    const { view } = this.guest;
    const used = view.getUint16(this.#place + USED + 2, true);
    while (this.#seen !== used) {
      const at = this.#place + USED + 4 + 8 * (this.#seen % QUEUE_SIZE);
      const head = view.getUint32(at, true);
      const written = view.getUint32(at + 4, true);
      const offered = this.offered.get(head);
      // A head may have been offered twice, by a lie.
      assert.ok(offered !== undefined || this.hasLied, `${head} was not offered, or is used twice`);
      if (offered !== undefined) {
        const most = this.#writableOf(head);
        assert.ok(written <= most, `${written} of ${most}`);
        this.#free.push(...offered.descriptors);
        this.offered.delete(head);
      }
      this.#seen = (this.#seen + 1) & 0xffff;
    }
  }

  /**
   * Bytes that a chain lets the device write, as the tables have it: what was offered is no measure, since a lie leads on
   * to descriptors of other chains. Without limit when its table is said to be where packets are.
   */
  #writableOf(head: number): number {
    const { view } = this.guest;
    let table = this.#place;
    let bytes = 0;
    for (let index = head, left = 2 * QUEUE_SIZE; left > 0; left--) {
      const at = table + index * DESC;
      const flags = view.getUint16(at + 12, true);
      if ((flags & DescFlag.Indirect) !== 0) {
        table = view.getUint32(at, true);
        if (table < TABLES || table >= DATA) return Infinity;
        index = 0;
        continue;
      }
      if ((flags & DescFlag.Write) !== 0) bytes += view.getUint32(at + 8, true);
      if ((flags & DescFlag.Next) === 0) break;
      index = view.getUint16(at + 14, true);
    }
    return bytes;
  }

  /** Takes over what the device may have written into the picture of what should be. */
  accept(shadow: Uint8Array): void {
    const { bytes } = this.guest;
    const used = this.#place + USED;
    shadow.set(bytes.subarray(used, used + USED), used);
    for (const { writable } of this.offered.values()) {
      for (let i = 0; i < writable.length; i += 2) {
        this.#acceptRange(shadow, writable[i], writable[i + 1]);
      }
    }
    if (!this.hasLied) return;
    this.#acceptTable(shadow, this.#place, this.#place + QUEUE_SIZE * DESC);
    this.#acceptTable(shadow, TABLES, DATA);
  }

  #acceptTable(shadow: Uint8Array, from: number, to: number): void {
    const { view } = this.guest;
    for (let at = from; at < to; at += DESC) {
      if ((view.getUint16(at + 12, true) & DescFlag.Write) === 0) continue;
      if (view.getUint32(at + 4, true) !== 0) continue;
      this.#acceptRange(shadow, view.getUint32(at, true), view.getUint32(at + 8, true));
    }
  }

  #acceptRange(shadow: Uint8Array, from: number, length: number): void {
    if (from < 0 || from >= MEMORY) return;
    shadow.set(this.guest.bytes.subarray(from, from + length), from);
  }
}

/** A guest with the queues of one pair, and its memory. */
class FuzzGuest implements Disposable {
  readonly base = window.allocate(MEMORY);
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly memory: GuestMemory;
  readonly device: NetDevice;
  readonly queues: readonly FuzzQueue[];
  chains = 0;
  peer: StreamPeer;
  /** Of a frame that the stream did not take as a whole. */
  #unsent = new Uint8Array(0);
  readonly #poller = new Poller();
  readonly #shadow = new Uint8Array(MEMORY);

  constructor(readonly dice: Dice) {
    window.mapAnonymous(this.base, MEMORY);
    this.bytes = window.bytes(this.base, MEMORY);
    this.view = new DataView(window.buffer, this.base, MEMORY);
    const region = { guestAddress: 0, size: MEMORY, windowOffset: this.base };
    this.memory = new GuestMemory(window, [region]);
    const [end, peer] = this.#ends();
    this.peer = peer;
    const pairs = 1 + dice.below(3);
    this.device = new NetDevice(window, {
      end,
      mac: MAC,
      mtu: dice.once(2) ? 1500 : undefined,
      pairs,
    });
    const kept = Object.values(NetFeature).filter(() => !dice.once(4)).reduce((a, b) => a | b, 0n);
    this.device.start((this.device.features & kept) | (dice.once(50) ? 0n : Feature.Version1));
    for (const { fd } of this.device.sources) this.#poller.add(fd, 0);
    const control = (kept & NetFeature.Mq) !== 0n ? 2 * pairs : 2;
    this.queues = [0, 1, control].map((index, slot) => new FuzzQueue(index, slot, this));
    this.#scatter();
  }

  #ends(): [StreamEnd, StreamPeer] {
    const [ours, theirs] = socketPair();
    return [new StreamEnd(window, ours, () => {}), new StreamPeer(theirs)];
  }

  descriptor(at: number, address: number, length: number, flags: number, next: number): void {
    const { view } = this;
    view.setUint32(at, address >>> 0, true);
    view.setUint32(at + 4, address < 0 ? 0xffff_ffff : 0, true);
    view.setUint32(at + 8, length, true);
    view.setUint16(at + 12, flags, true);
    view.setUint16(at + 14, next, true);
  }

  #scatter(): void {
    for (let at = DATA; at < MEMORY; at += 4) this.view.setUint32(at, this.dice.below(2 ** 32));
  }

  /** Somewhere that is not used by rings, or, rarely, where nobody may be. */
  #address(length: number): number {
    if (this.dice.once(5000)) return this.dice.of([0, 0x2004, MEMORY - 1, MEMORY, -1, 2 ** 31]);
    return DATA + this.dice.below(MEMORY - DATA - length);
  }

  /** Pieces of so many bytes in all. */
  #pieces(total: number, write: boolean): [number, number, boolean][] {
    const pieces: [number, number, boolean][] = [];
    const most = this.dice.once(200) ? LONG : 4;
    while (total > 0) {
      const isLast = pieces.length >= most - 1 || this.dice.once(2);
      const length = isLast ? total : 1 + this.dice.below(total);
      pieces.push([this.#address(length), length, write]);
      total -= length;
    }
    return pieces;
  }

  #transmit(): [number, number, boolean][] {
    const { dice, view } = this;
    const total = dice.once(3) ? dice.of(LENGTHS) : 1 + dice.below(2000);
    const pieces = this.#pieces(total, false);
    const [address, length] = pieces[0];
    if (address >= DATA && address + 12 <= MEMORY && length >= 12) {
      view.setUint8(address, dice.of(WORDS));
      view.setUint8(address + 1, dice.of(WORDS));
      for (let at = 2; at < 12; at += 2) view.setUint16(address + at, dice.of(HALVES), true);
    }
    if (dice.once(1000)) pieces.push([this.#address(1), 1, true]);
    return pieces;
  }

  #receive(): [number, number, boolean][] {
    const { dice } = this;
    const total = dice.once(20)
      ? dice.of([...LENGTHS.slice(3), 65562])
      : dice.of([1536, 1536, 2048, 600, 100]);
    return this.#pieces(total, true);
  }

  #command(): [number, number, boolean][] {
    const { dice, view } = this;
    const length = dice.of([2, 3, 4, 8, 10, 14, 300]);
    const address = DATA + dice.below(MEMORY - DATA - length);
    const groups = Object.values(NetControl);
    view.setUint8(address, dice.once(10) ? dice.below(256) : dice.of(groups).class);
    view.setUint8(address + 1, dice.below(3));
    if (length > 3) view.setUint16(address + 2, dice.below(5), true);
    return [[address, length, false], [this.#address(1), 1, true]];
  }

  /** Offers chains, lets the stream's other end do something, and looks at what came of it. */
  batch(): void {
    const { dice, queues } = this;
    const [receive, transmit, control] = queues;
    for (let n = dice.below(60); n > 0 && receive.room > LONG; n--) {
      this.#offer(receive, this.#receive());
    }
    for (let n = dice.below(60); n > 0 && transmit.room > LONG; n--) {
      this.#offer(transmit, this.#transmit());
    }
    for (let n = dice.below(12); n > 0 && control.room > LONG; n--) {
      this.#offer(control, this.#command());
    }
    this.#stream();
    this.#shadow.set(this.bytes);
    this.#listen();
    for (const { queue } of queues) {
      queue.beginRound();
      this.device.process(queue);
      queue.endRound();
    }
    if (dice.once(50)) this.device.settle();
    this.#check();
    if (!this.device.isUp) this.#reconnect();
  }

  #listen(): void {
    for (let n = this.#poller.wait(0); n > 0; n--) this.device.sources[0].ready();
  }

  #offer(queue: FuzzQueue, pieces: [number, number, boolean][]): void {
    queue.offer(pieces);
    this.chains++;
  }

  #check(): void {
    const isSpoilt = this.queues.some((queue) => queue.isSpoilt);
    if (!isSpoilt) {
      for (const queue of this.queues) queue.accept(this.#shadow);
      if (Buffer.compare(this.#shadow, this.bytes) !== 0) {
        const at = this.#shadow.findIndex((byte, i) => byte !== this.bytes[i]);
        assert.fail(`a byte at 0x${at.toString(16)} changed that the device may not write`);
      }
      for (const queue of this.queues) queue.collect();
    }
    for (const queue of this.queues) {
      if (!isSpoilt && !queue.hasLied && queue.queue.fault === undefined) continue;
      this.device.settle();
      queue.restart();
    }
  }

  #stream(): void {
    const { dice, peer } = this;
    if (!dice.once(4)) {
      for (const bytes of peer.frames()) assert.ok(bytes.length >= 14 && bytes.length <= 65535);
    }
    for (let n = dice.below(20); n > 0 && this.#unsent.length === 0; n--) {
      const length = dice.once(10) ? dice.of(LENGTHS.slice(0, 15)) : 14 + dice.below(1500);
      const frame = new Uint8Array(4 + length);
      new DataView(frame.buffer).setUint32(0, dice.once(3000) ? dice.below(2 ** 32) : length);
      this.#unsent = frame;
      this.#flush();
    }
    this.#flush();
    if (dice.once(1000)) peer[Symbol.dispose]();
  }

  #flush(): void {
    if (this.#unsent.length === 0) return;
    const sent = this.peer.sendSome(this.#unsent);
    if (sent > 0) this.#unsent = this.#unsent.subarray(sent);
  }

  #reconnect(): void {
    this.peer[Symbol.dispose]();
    const [end, peer] = this.#ends();
    this.peer = peer;
    this.#unsent = new Uint8Array(0);
    this.device.replaceEnd(end);
  }

  /** Once somebody reads the stream to its end, all packets leave. */
  drain(): void {
    const transmit = this.queues[1];
    const { queue, offered } = transmit;
    for (let i = 0; i < QUEUE_SIZE && offered.size > 0 && queue.fault === undefined; i++) {
      this.peer.frames();
      this.#listen();
      queue.beginRound();
      this.device.process(queue);
      queue.endRound();
      transmit.collect();
    }
    if (queue.fault === undefined) assert.equal(offered.size, 0, "packets stay in the queue");
  }

  [Symbol.dispose](): void {
    this.device.settle();
    this.device.reset();
    this.device[Symbol.dispose]();
    this.peer[Symbol.dispose]();
    this.#poller[Symbol.dispose]();
    window.free(this.base, MEMORY);
  }
}

Deno.test("whatever guest and stream do, the device writes only where it may, and leaves nothing behind", () => {
  console.log(`SPECTRUM_SEED=${SEED}`);
  const dice = new Dice(SEED);
  const mark = windowMark();
  const before = openNumbers();
  let chains = 0;
  while (chains < CHAINS) {
    using guest = new FuzzGuest(dice);
    for (let i = 0; i < BATCHES_PER_MATCH && chains + guest.chains < CHAINS; i++) guest.batch();
    guest.drain();
    chains += guest.chains;
  }
  assert.equal(openNumbers(), before);
  assert.equal(windowMark(), mark);
  console.log(`${chains} chains`);
});

const USER = 0x7f00_0000_0000;

/** A frontend that says what the protocol knows, in any order and with any number. */
class FuzzFrontend {
  readonly #frontend: RawFrontend;
  readonly #backend: Backend;
  readonly #features: bigint;
  readonly #poller = new Poller();
  isOpen = true;

  constructor(
    private readonly dice: Dice,
    device: NetDevice,
    private readonly memory: MachineMemory,
    private readonly event: EventFd,
  ) {
    const [ours, theirs] = socketPair();
    this.#backend = new Backend(theirs, device, {
      window,
      link: localLink,
      poller: this.#poller,
      kickTag: 0,
      log: () => {},
    });
    this.#frontend = new RawFrontend(ours, () => this.isOpen &&= this.#backend.receive());
    this.#features = this.#frontend.ask(FrontendMessage.GetFeatures);
    const value = ProtocolFeature.ReplyAck | ProtocolFeature.Mq | ProtocolFeature.Config;
    this.#frontend.send(FrontendMessage.SetProtocolFeatures, U64.encode({ value }));
    this.#frontend.send(FrontendMessage.SetFeatures, U64.encode({ value: this.#features }));
  }

  step(): void {
    const { dice } = this;
    const frontend = this.#frontend;
    const index = dice.once(40) ? dice.below(300) : dice.below(5);
    const which = U64.encode({ value: BigInt(index) });
    const state = (num: number) => VringState.encode({ index, num });
    const { fd } = this.event;
    switch (dice.below(14)) {
      case 0:
        return this.#say(FrontendMessage.SetVringNum, state(dice.of([1, 2, 16, 256, 0, 3, 65536])));
      case 1:
        return this.#say(FrontendMessage.SetVringBase, state(dice.of([0, 1, 100, 0x10000])));
      case 2:
      case 3:
        return this.#say(
          FrontendMessage.SetVringAddr,
          VringAddr.encode({
            index,
            descriptor: USER + index * QUEUE_PLACES + (dice.once(20) ? dice.below(2 ** 21) : 0),
            available: USER + index * QUEUE_PLACES + AVAIL,
            used: USER + index * QUEUE_PLACES + USED,
          }),
        );
      case 4:
      case 5:
        return this.#say(FrontendMessage.SetVringKick, which, [fd]);
      case 6:
        return this.#say(FrontendMessage.SetVringCall, which, [fd]);
      case 7:
      case 8:
        return this.#say(FrontendMessage.SetVringEnable, state(dice.once(4) ? 0 : 1));
      case 9:
        return this.#say(FrontendMessage.GetVringBase, state(0));
      case 10: {
        const regions = [{ guestAddress: 0, size: MEMORY, userAddress: USER, mmapOffset: 0 }];
        const payload = MemoryTable.encode({ count: 1, regions }).subarray(0, memoryTableSize(1));
        return this.#say(FrontendMessage.SetMemTable, payload, [this.memory.regions[0].fd]);
      }
      case 11: {
        const value = dice.once(3) ? BigInt(dice.below(2 ** 32)) << 7n : NetFeature.Mac;
        const kept = U64.encode({ value: this.#features & ~value });
        return this.#say(FrontendMessage.SetFeatures, kept);
      }
      case 12:
        return this.#say(FrontendMessage.ResetDevice, new Uint8Array(0));
      default:
        if (!dice.once(20)) return;
        frontend.sendBytes(Uint8Array.from({ length: dice.below(64) }, () => dice.below(256)));
    }
  }

  #say(
    request: number,
    payload: Uint8Array,
    fds: Parameters<RawFrontend["confirm"]>[2] = [],
  ): void {
    this.#frontend.confirm(request, payload, fds);
    while (this.isOpen) {
      const reply = this.#frontend.reply();
      if (reply === undefined) return;
      for (const fd of reply.fds) fd[Symbol.dispose]();
    }
  }

  work(): void {
    for (let i = 0; i < 5; i++) this.#backend.kicked(i);
    this.#backend.wake();
    for (let round = 0; round < 8 && this.#backend.run(); round++);
  }

  [Symbol.dispose](): void {
    this.#backend[Symbol.dispose]();
    this.#frontend[Symbol.dispose]();
    this.#poller[Symbol.dispose]();
  }
}

Deno.test("whatever a frontend says, the device is there for the next one", () => {
  console.log(`SPECTRUM_SEED=${SEED}`);
  const dice = new Dice(SEED);
  const mark = windowMark();
  const before = openNumbers();
  {
    using memory = MachineMemory.create(window, MEMORY);
    using event = EventFd.create();
    const [ours, theirs] = socketPair();
    using peer = new StreamPeer(theirs);
    using device = new NetDevice(window, {
      end: new StreamEnd(window, ours, () => {}),
      mac: MAC,
      pairs: 2,
    });
    const bytes = window.bytes(memory.ramBase, MEMORY);
    let connections = 0;
    for (let message = 0; message < MESSAGES;) {
      connections++;
      using frontend = new FuzzFrontend(dice, device, memory, event);
      for (const end = message + 500; message < end && frontend.isOpen; message++) {
        frontend.step();
        // Rings with whatever in them: some of it is a packet.
        if (dice.once(5)) {
          const at = dice.below(5) * QUEUE_PLACES;
          for (let i = 0; i < 8; i++) {
            const desc = at + i * DESC;
            new DataView(bytes.buffer, bytes.byteOffset).setUint32(desc, DATA + i * 2048, true);
            new DataView(bytes.buffer, bytes.byteOffset).setUint32(desc + 8, 1536, true);
            bytes[desc + 12] = dice.of([0, 2, 2, 3, 1]);
            bytes[at + AVAIL + 4 + 2 * i] = i;
          }
          bytes[at + AVAIL + 2]++;
        }
        if (dice.once(3)) {
          peer.frames();
          peer.sendSome(new Uint8Array([0, 0, 0, 60, ...new Uint8Array(60)]));
          device.sources[0].ready();
        }
        frontend.work();
      }
    }
    assert.ok(device.isUp);
    console.log(`${connections} connections`);
  }
  assert.equal(openNumbers(), before);
  assert.equal(windowMark(), mark);
});
