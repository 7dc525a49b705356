// A hostile guest and hostile programs of the host against the device.
import assert from "node:assert/strict";
import { type Dice, fuzzTest, openNumbers } from "../../../tests/fuzz/mod.ts";
import {
  connectUnix,
  type Fd,
  listenUnix,
  MessageFlags,
  type Owned,
  receiveMessage,
  sendMessage,
  setNonBlocking,
  shutdownRead,
  shutdownWrite,
  socketPair,
} from "../../os/mod.ts";
import {
  type MockDriver,
  type MockPlace,
  VsockHeader,
  VsockOperation as Op,
} from "../../virtio/mod.ts";
import { tidy } from "../fuzzing.ts";
import { DeviceBench, window } from "../testing.ts";
import { VsockDevice } from "./mod.ts";

const AT_ONCE = 8;
const CID = 9;
const CONNECTIONS = 12;
/** Sockets that are ours at a time. */
const MOST_SOCKETS = 24;
const GUEST_PORTS = [1, 2, 3, 4, 0x8000_0001, 0xffff_ffff];
const HOST_PORTS = [1000, 1001, 22, 2 ** 30, 2 ** 30 + 1, 2 ** 30 + 2, 2 ** 30 + 3, 0xffff_ffff];
const OPERATIONS = [
  ...[Op.Request, Op.Request, Op.Response, Op.Response, Op.Reset, Op.Shutdown, Op.CreditUpdate],
  ...[Op.CreditRequest, ...Array<number>(8).fill(Op.ReadWrite), 0, 8, 0xffff],
];
const SIZES = [0, 1, 100, 4096, 65536, 2 ** 18, 2 ** 31, 0xffff_ffff];
const LENGTHS = [0, 1, 7, 100, 4000, 20_000, 65_536];
const LIES = [0, 1, 43, 44, 65_536, 2 ** 18, 2 ** 31, 0xffff_ffff];
const GREETINGS = [
  ...[
    "CONNECT 1\n",
    "CONNECT 2\n",
    "CONNECT 3\nand more",
    "CONNECT 4",
    "CONN",
    "\n",
    "CONNECT x\n",
  ],
  "CONNECT 99999999999\n",
];

/** Guest memory: rings and buffers of each queue, what is sent, and what nobody may touch. */
const RECEIVE_AT = 0;
const SLOTS_AT = 2 ** 17;
const SLOT = 8192;
const SLOTS = 32;
const SEND_AT = 2 ** 19;
const SEND_SLOTS_AT = SEND_AT + 2 ** 17;
const SEND_SLOT = 2 ** 17;
const FORBIDDEN_AT = SEND_SLOTS_AT + AT_ONCE * SEND_SLOT;
const FORBIDDEN = 2 ** 16;
const CANARY = 0xa5;
const HEADER = VsockHeader.size;

const text = new TextEncoder();
const nothing = new Uint8Array(65536);

class Match implements Disposable {
  chains = 0;
  /** How rarely the guest does what it should not: the more rarely, the further connections get. */
  readonly #calm: number;
  readonly #device: VsockDevice;
  readonly #bench: DeviceBench;
  readonly #sockets: Owned<Fd>[] = [];
  readonly #wishes: ((socket: Owned<Fd> | undefined) => void)[] = [];
  readonly #offered = new Map<number, { slot: number; room: number }>();
  readonly #freeSlots = Array.from({ length: SLOTS }, (_, i) => i);
  /** Packets that the device has not taken. */
  #waiting = 0;
  readonly #receive: MockDriver;
  readonly #send: MockDriver;

  constructor(private readonly dice: Dice, listener: Fd, private readonly path: string) {
    this.#device = new VsockDevice(window, {
      cid: CID,
      listener,
      connections: CONNECTIONS,
      connect: (port, answer) => this.#wish(port, answer),
      log: () => {},
    });
    this.#bench = new DeviceBench(this.#device);
    this.#calm = dice.of([1, 10, 100]);
    const base = dice.once(4) ? dice.below(65536) : 0;
    const options = { eventIndex: !dice.once(3), indirect: true };
    this.#receive = this.#bench.driver(0, RECEIVE_AT, 128, options, base);
    this.#send = this.#bench.driver(1, SEND_AT, 64, options, base);
    this.#receive.bytes.fill(CANARY, SLOTS_AT, SLOTS_AT + SLOTS * SLOT);
    this.#receive.bytes.fill(CANARY, FORBIDDEN_AT, FORBIDDEN_AT + FORBIDDEN);
  }

  /** Returns when the game is over, or the guest has broken a queue. */
  run(): void {
    const { dice } = this;
    while (!dice.isOver && !this.#isBroken) {
      // What it does not take waits until it has buffers for its answers.
      if (this.#waiting === 0) {
        for (let i = 1 + dice.below(AT_ONCE); i > 0; i--) this.#packet(i - 1);
      }
      for (let i = dice.below(6); i > 0; i--) this.#offer();
      if (dice.once(3)) this.#host();
      if (dice.once(4)) this.#wishes.shift()?.(dice.once(3) ? undefined : this.#reach());
      this.#turn();
    }
    const { bytes } = this.#receive;
    for (let i = FORBIDDEN_AT; i < FORBIDDEN_AT + FORBIDDEN; i++) assert.equal(bytes[i], CANARY);
  }

  get #isBroken(): boolean {
    return [0, 1].some((i) => this.#bench.queue(i).fault !== undefined);
  }

  #turn(): void {
    this.#bench.round();
    this.#bench.listen();
    this.#bench.round();
    for (const { head, written } of this.#receive.takeUsed()) this.#take(head, written);
    for (const { written } of this.#send.takeUsed()) {
      assert.equal(written, 0);
      this.#waiting--;
    }
  }

  /** A packet of the guest; its pieces lie as chance has it. */
  #packet(slot: number): void {
    const { dice } = this;
    const calm = this.#calm;
    const wild = dice.once(calm);
    const truth = dice.of(LENGTHS);
    const at = SEND_SLOTS_AT + slot * SEND_SLOT;
    const header = VsockHeader.at(this.#send.view, this.#base + at);
    header.sourceCid = wild && dice.once(10) ? dice.of([0, 2, 10, 2 ** 32 + CID]) : CID;
    header.destinationCid = wild && dice.once(10) ? dice.of([0, 1, 3, 2 ** 40]) : 2;
    header.sourcePort = wild ? dice.of(GUEST_PORTS) : 1 + dice.below(2);
    header.destinationPort = wild ? dice.of(HOST_PORTS) : 1000;
    header.length = wild && dice.once(10) ? dice.of(LIES) : truth;
    header.type = wild && dice.once(10) ? dice.below(4) : 1;
    header.operation = wild ? dice.of(OPERATIONS) : dice.once(300) ? Op.Request : Op.ReadWrite;
    header.flags = dice.once(20) ? dice.below(2 ** 32 - 1) : dice.below(4);
    header.bufferSize = dice.of(SIZES);
    header.forwarded = wild && dice.once(10) ? dice.of(LIES) : 0;
    const pieces: MockPlace[] = [];
    const total = HEADER + truth;
    let from = at;
    const cut = dice.once(3) ? 1 + dice.below(total) : HEADER;
    for (const length of [Math.min(cut, total), Math.max(0, total - cut)]) {
      if (length > 0) pieces.push({ address: from, length, writable: false });
      from += length;
    }
    if (dice.once(40)) pieces.push({ address: FORBIDDEN_AT, length: FORBIDDEN, writable: true });
    if (dice.once(3000)) pieces[0] = { address: at, length: dice.below(HEADER), writable: false };
    if (dice.once(3000)) pieces[0] = { ...pieces[0], address: 2 ** 40 };
    this.#send.add(pieces, { indirect: false });
    this.chains++;
    this.#waiting++;
  }

  get #base(): number {
    return this.#send.bytes.byteOffset;
  }

  /** A buffer for the device, cut as chance has it. */
  #offer(): void {
    const slot = this.#freeSlots.pop();
    if (slot === undefined) return;
    const { dice } = this;
    let room = dice.once(2000) ? dice.below(HEADER + 1) : HEADER + 1 + dice.below(4096);
    const whole = room;
    let address = SLOTS_AT + slot * SLOT;
    const pieces: MockPlace[] = [];
    while (room > 0) {
      const length = pieces.length === 2 ? room : Math.min(room, dice.of([1, 44, 300, 8192]));
      pieces.push({ address, length, writable: true });
      address += length;
      room -= length;
    }
    if (pieces.length === 0) pieces.push({ address, length: 0, writable: true });
    const { head } = this.#receive.add(pieces);
    this.#offered.set(head, { slot, room: whole });
  }

  /** The device has given a buffer back: it has written so much of it, and nothing else. */
  #take(head: number, written: number): void {
    const offered = this.#offered.get(head);
    assert.ok(offered !== undefined && written <= offered.room);
    this.#offered.delete(head);
    this.#freeSlots.push(offered.slot);
    const at = SLOTS_AT + offered.slot * SLOT;
    const { bytes } = this.#receive;
    assert.ok(written >= HEADER);
    const header = VsockHeader.at(this.#receive.view, bytes.byteOffset + at);
    assert.equal(header.length, written - HEADER);
    assert.ok(header.operation >= Op.Request && header.operation <= Op.CreditRequest);
    assert.equal(header.destinationCid, CID);
    for (let i = at + written; i < at + SLOT; i += i < at + written + 64 ? 1 : 64) {
      if (bytes[i] !== CANARY) assert.fail(`byte ${i - at} after ${written} was written to`);
    }
    bytes.fill(CANARY, at, at + written);
  }

  #wish(port: number, answer: (socket: Owned<Fd> | undefined) => void): void {
    const { dice } = this;
    if (dice.once(3)) this.#wishes.push(answer);
    else answer(port < 1000 || dice.once(10) ? undefined : this.#reach());
    if (this.#wishes.length > 8) this.#wishes.shift()?.(undefined);
  }

  #reach(): Owned<Fd> {
    const [ours, theirs] = socketPair();
    this.#hold(theirs);
    return ours;
  }

  #hold(socket: Owned<Fd>): void {
    setNonBlocking(socket, true);
    this.#sockets.push(socket);
    if (this.#sockets.length > MOST_SOCKETS) this.#sockets.shift()?.[Symbol.dispose]();
  }

  /** Programs of the host do something. */
  #host(): void {
    const { dice } = this;
    if (dice.once(3)) {
      const socket = connectUnix(this.path);
      const greeting = text.encode(dice.of(GREETINGS));
      if (!dice.once(8)) sendMessage(socket, greeting, dice.once(20) ? [socket] : []);
      this.#hold(socket);
    }
    if (this.#sockets.length === 0) return;
    const at = dice.below(this.#sockets.length);
    const socket = this.#sockets[at];
    switch (dice.below(8)) {
      case 0:
      case 1:
      case 2:
        receiveMessage(socket, nothing, 0, MessageFlags.DontWait);
        break;
      case 3:
        if (dice.once(3)) {
          dice.once(2) ? tolerant(shutdownRead, socket) : tolerant(shutdownWrite, socket);
        }
        break;
      case 4:
        if (dice.once(4)) this.#sockets.splice(at, 1)[0][Symbol.dispose]();
        break;
      default:
        sendMessage(socket, nothing.subarray(0, dice.of(LENGTHS)), dice.once(50) ? [socket] : []);
    }
  }

  [Symbol.dispose](): void {
    this.#device.reset();
    for (const answer of this.#wishes.splice(0)) answer(this.#reach());
    for (const socket of this.#sockets) socket[Symbol.dispose]();
    this.#bench[Symbol.dispose]();
    this.#device[Symbol.dispose]();
  }
}

function tolerant(end: (socket: Fd) => void, socket: Fd): void {
  try {
    end(socket);
  } catch {
    // It is not connected any more.
  }
}

function playMatches(dice: Dice): number {
  const folder = Deno.makeTempDirSync({ prefix: "spectrum-vsock-" });
  const path = `${folder}/socket`;
  using listener = listenUnix(path);
  const before = openNumbers();
  let chains = 0;
  try {
    while (!dice.isOver) {
      using match = new Match(dice, listener, path);
      match.run();
      // Those of the device: a poller, its connections, and programs that wait to be accepted.
      assert.ok(openNumbers() <= before + 4 + CONNECTIONS + MOST_SOCKETS + 1);
      chains += match.chains;
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
  return chains;
}

fuzzTest({
  name: "vsock",
  promise:
    "whatever a guest sends and programs of the host do, the device goes on, and leaves nothing behind",
  play: tidy(playMatches),
  turns: 300_000,
  tapeLength: 2 ** 16,
});
