// A sender whose stream takes as few bytes as it likes, and whose queues lose their memory at any time.
import assert from "node:assert/strict";
import { type Dice, fuzzTest } from "../../../tests/fuzz/mod.ts";
import { Errno, type IoVector } from "../../os/mod.ts";
import { MockDriver, NetHeaderFlag } from "../../virtio/mod.ts";
import { tidy } from "../fuzzing.ts";
import { window } from "../testing.ts";
import { StreamSender } from "./stream_sender.ts";
import { frame, internetChecksum, packet } from "./testing.ts";

const MEMORY = 2 ** 22;
/** Packets that the memory of a queue has room for, however long they are. */
const MOST_ADDED = 48;
const LENGTHS = [14, 15, 60, 60, 61, 1000, 1514, 1514, 9000, 65535];
/** Where the queue of a frame is named in it. */
const TAG = 11;

/** A stream that takes what chance says. */
class ChanceStream {
  readonly #bytes = new Uint8Array(2 ** 23);
  #length = 0;

  constructor(private readonly dice: Dice) {}

  take(vector: IoVector): number {
    const { dice } = this;
    if (dice.once(4)) return -Errno.EAGAIN;
    const most = dice.of([Infinity, 1, 2, 3, 4, 5, dice.below(70) + 1, dice.below(40_000) + 1]);
    const count = Math.min(most, vector.bytes);
    for (let i = 0, left = count; left > 0; i++) {
      const length = Math.min(left, vector.lengthAt(i));
      this.#bytes.set(window.bytes(vector.offsetAt(i), length), this.#length);
      this.#length += length;
      left -= length;
    }
    return count;
  }

  /** The frames that are there as a whole. */
  *frames(): Generator<Uint8Array> {
    const view = new DataView(this.#bytes.buffer);
    let at = 0;
    for (; at + 4 <= this.#length; at += 4 + view.getUint32(at)) {
      const length = view.getUint32(at);
      assert.ok(length >= 14 && length <= 65535, `a frame of ${length} bytes`);
      if (at + 4 + length > this.#length) break;
      yield this.#bytes.subarray(at + 4, at + 4 + length);
    }
    this.#bytes.copyWithin(0, at, this.#length);
    this.#length -= at;
  }
}

/** The driver of a transmit queue, which makes a used packet unreadable. */
class Sending {
  readonly base = window.allocate(MEMORY);
  readonly driver: MockDriver;
  readonly queue;
  /** Frames that have not come. */
  readonly expected: Uint8Array[] = [];
  readonly #placed = new Map<number, { address: number; length: number }[]>();

  #added = 0;

  constructor(private readonly tag: number, private readonly dice: Dice) {
    window.mapAnonymous(this.base, MEMORY);
    const { buffer } = window;
    this.driver = new MockDriver(256, { buffer, base: this.base, memoryBytes: MEMORY });
    this.queue = this.driver.queue();
  }

  add(): void {
    const { dice, driver } = this;
    if (this.#placed.size === 0) {
      driver.freePlaces();
      this.#added = 0;
    }
    if (this.#added === MOST_ADDED) return;
    const bytes = frame(dice.of(LENGTHS), dice.below(256));
    bytes[TAG] = this.tag;
    const { whole, expected } = this.#packet(bytes);
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < whole.length;) {
      const length = pieces.length === 3 ? whole.length : 1 + dice.below(whole.length);
      pieces.push(whole.subarray(at, at += length));
    }
    if (pieces.length === 0) return;
    const { head, addresses } = driver.add(pieces);
    this.#placed.set(
      head,
      addresses.map((address, i) => ({ address, length: pieces[i].length })),
    );
    this.#added++;
    if (expected !== undefined) this.expected.push(expected);
  }

  /** A packet, and what should come of it; nothing does of one that is none. */
  #packet(bytes: Uint8Array): { whole: Uint8Array; expected?: Uint8Array } {
    const { dice } = this;
    const flags = NetHeaderFlag.NeedsCsum;
    switch (dice.below(6)) {
      case 0:
        return { whole: packet(bytes).subarray(0, dice.below(26)) };
      case 1:
        return { whole: packet(bytes, { flags, csumStart: 300 }) };
      case 2:
      case 3: {
        const csumOffset = dice.below(Math.min(bytes.length - 13, 239));
        const expected = bytes.slice();
        const sum = internetChecksum(bytes.subarray(12)) || 0xffff;
        new DataView(expected.buffer).setUint16(12 + csumOffset, sum);
        return { whole: packet(bytes, { flags, csumStart: 12, csumOffset }), expected };
      }
      default:
        return { whole: packet(bytes), expected: bytes };
    }
  }

  /** Takes back what was used. */
  collect(): void {
    for (const { head } of this.driver.takeUsed()) {
      const pieces = this.#placed.get(head);
      assert.ok(pieces !== undefined, `${head} is used twice`);
      this.#placed.delete(head);
      for (const { address, length } of pieces) {
        this.driver.bytes.fill(0xee, address, address + length);
      }
    }
  }

  get waiting(): number {
    return this.#placed.size;
  }
}

/** Frames that came. */
let frames = 0;

function playSender(dice: Dice): number {
  const stream = new ChanceStream(dice);
  using sender = new StreamSender(window, (vector) => stream.take(vector));
  const sendings = [new Sending(0, dice), new Sending(1, dice)];
  const send = ({ queue }: Sending) => {
    queue.beginRound();
    sender.send(queue);
    queue.endRound();
  };
  const look = () => {
    for (const bytes of stream.frames()) {
      assert.deepEqual(bytes, sendings[bytes[TAG]].expected.shift());
      frames++;
    }
  };
  let steps = 0;
  for (; !dice.isOver; steps++) {
    for (let n = dice.below(6); n > 0; n--) dice.of(sendings).add();
    if (dice.once(2)) sender.isBlocked = false;
    if (dice.once(3)) sender.flush();
    else send(dice.of(sendings));
    look();
    if (dice.once(20)) {
      sender.settle();
      for (const { driver, queue } of sendings) assert.equal(queue.base, driver.usedIndex);
    }
    for (const sending of sendings) sending.collect();
  }
  // A stream that takes everything.
  for (let i = 0; i < MOST_ADDED && sendings.some(({ waiting }) => waiting > 0); i++) {
    sender.isBlocked = false;
    sender.flush();
    for (const sending of sendings) {
      send(sending);
      look();
      sending.collect();
    }
  }
  for (const { expected, waiting, base } of sendings) {
    assert.deepEqual([expected.length, waiting], [0, 0]);
    window.free(base, MEMORY);
  }
  return steps;
}

fuzzTest({
  name: "stream-sender",
  promise: "whatever a stream takes of them, frames leave whole, once, and in order",
  play: tidy(playSender),
  reached: () => assert.ok(frames > 1000, `${frames} frames`),
  turns: 6000,
  tapeLength: 2 ** 14,
});
