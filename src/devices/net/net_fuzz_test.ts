// A hostile guest, a hostile frontend and a hostile stream against the device.
import assert from "node:assert/strict";
import { type Dice, fuzzTest } from "../../../tests/fuzz/mod.ts";
import { MachineMemory } from "../../memory/mod.ts";
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
import { Feature, NetControl, NetFeature } from "../../virtio/mod.ts";
import {
  AVAIL,
  DATA,
  DESC,
  FuzzGuest,
  type Match,
  MEMORY,
  type Piece,
  playMatch,
  QUEUE_PLACES,
  QUEUE_SIZE,
  USED,
} from "../fuzz_guest.ts";
import { tidy } from "../fuzzing.ts";
import { window } from "../testing.ts";
import { NetDevice, StreamEnd } from "./mod.ts";
import { StreamPeer } from "./testing.ts";

const MAC = "52:54:00:00:00:01";
const LENGTHS = [1, 2, 11, 12, 13, 14, 26, 60, 74, 1514, 1526, 1536, 4096, 9000, 65535, 65547];
const WORDS = [0, 1, 2, 3, 4, 7, 0x80, 0xff];
const HALVES = [0, 12, 14, 34, 54, 240, 1500, 0x7fff, 0xfffe, 0xffff];

/** A guest with the queues of one pair, and the other end of its stream. */
class NetMatch implements Match {
  readonly #dice: Dice;
  readonly #device: NetDevice;
  readonly guest: FuzzGuest;
  #peer: StreamPeer;
  /** Of a frame that the stream did not take as a whole. */
  #unsent = new Uint8Array(0);

  constructor(dice: Dice) {
    this.#dice = dice;
    const [end, peer] = this.#ends();
    this.#peer = peer;
    const pairs = 1 + dice.below(3);
    const mtu = dice.once(2) ? 1500 : undefined;
    this.#device = new NetDevice(window, { end, mac: MAC, mtu, pairs });
    const kept = dice.features(NetFeature);
    this.#device.start((this.#device.features & kept) | (dice.once(50) ? 0n : Feature.Version1));
    const control = (kept & NetFeature.Mq) !== 0n ? 2 * pairs : 2;
    this.guest = new FuzzGuest(this.#device, dice, [0, 1, control]);
  }

  #ends(): [StreamEnd, StreamPeer] {
    const [ours, theirs] = socketPair();
    return [new StreamEnd(window, ours, () => {}), new StreamPeer(theirs)];
  }

  #transmit(): Piece[] {
    const dice = this.#dice, { guest } = this, { view } = guest;
    const total = dice.once(3) ? dice.of(LENGTHS) : 1 + dice.below(2000);
    const pieces = guest.pieces(total, false);
    const [address, length] = pieces[0];
    if (address >= DATA && address + 12 <= MEMORY && length >= 12) {
      view.setUint8(address, dice.of(WORDS));
      view.setUint8(address + 1, dice.of(WORDS));
      for (let at = 2; at < 12; at += 2) view.setUint16(address + at, dice.of(HALVES), true);
    }
    if (dice.once(1000)) pieces.push([guest.address(1), 1, true]);
    return pieces;
  }

  #receive(): Piece[] {
    const dice = this.#dice;
    const total = dice.once(20)
      ? dice.of([...LENGTHS.slice(3), 65562])
      : dice.of([1536, 1536, 2048, 600, 100]);
    return this.guest.pieces(total, true);
  }

  #command(): Piece[] {
    const dice = this.#dice, { guest } = this, { view } = guest;
    const length = dice.of([2, 3, 4, 8, 10, 14, 300]);
    const address = DATA + dice.below(MEMORY - DATA - length);
    const groups = Object.values(NetControl);
    view.setUint8(address, dice.once(10) ? dice.below(256) : dice.of(groups).class);
    view.setUint8(address + 1, dice.below(3));
    if (length > 3) view.setUint16(address + 2, dice.below(5), true);
    return [[address, length, false], [guest.address(1), 1, true]];
  }

  /** Offers chains, lets the stream's other end do something, and looks at what came of it. */
  batch(): void {
    const { guest } = this;
    const [receive, transmit, control] = guest.queues;
    guest.offer(receive, 60, () => this.#receive());
    guest.offer(transmit, 60, () => this.#transmit());
    guest.offer(control, 12, () => this.#command());
    this.#stream();
    guest.round();
    if (!this.#device.isUp) this.#reconnect();
  }

  #stream(): void {
    const dice = this.#dice, peer = this.#peer;
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
    const sent = this.#peer.sendSome(this.#unsent);
    if (sent > 0) this.#unsent = this.#unsent.subarray(sent);
  }

  #reconnect(): void {
    this.#peer[Symbol.dispose]();
    const [end, peer] = this.#ends();
    this.#peer = peer;
    this.#unsent = new Uint8Array(0);
    this.#device.replaceEnd(end);
  }

  /** Once somebody reads the stream to its end, all packets leave. */
  drain(): void {
    const { guest } = this;
    const transmit = guest.queues[1];
    const { queue, offered } = transmit;
    for (let i = 0; i < QUEUE_SIZE && offered.size > 0 && queue.fault === undefined; i++) {
      this.#peer.frames();
      guest.listen();
      guest.process(queue);
      transmit.collect();
    }
    if (queue.fault === undefined) assert.equal(offered.size, 0, "packets stay in the queue");
  }

  [Symbol.dispose](): void {
    this.guest[Symbol.dispose]();
    this.#device[Symbol.dispose]();
    this.#peer[Symbol.dispose]();
  }
}

fuzzTest({
  name: "net",
  promise:
    "whatever guest and stream do, the device writes only where it may, and leaves nothing behind",
  play: playMatch((dice) => new NetMatch(dice)),
  turns: 200_000,
  tapeLength: 2 ** 18,
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
        frontend.sendBytes(dice.bytes(dice.below(64)));
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

/** One connection, with rings and a stream that have something to give. How many messages it took. */
function converse(dice: Dice): number {
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
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let messages = 0;
  while (!dice.isOver) {
    using frontend = new FuzzFrontend(dice, device, memory, event);
    for (; frontend.isOpen && !dice.isOver; messages++) {
      frontend.step();
      // Rings with whatever in them: some of it is a packet.
      if (dice.once(5)) {
        const at = dice.below(5) * QUEUE_PLACES;
        for (let i = 0; i < 8; i++) {
          const desc = at + i * DESC;
          view.setUint32(desc, DATA + i * 2048, true);
          view.setUint32(desc + 8, 1536, true);
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
  return messages;
}

fuzzTest({
  name: "net-frontend",
  promise: "whatever a frontend says, the device is there for the next one",
  play: tidy(converse),
  turns: 10_000,
  tapeLength: 2 ** 13,
});
