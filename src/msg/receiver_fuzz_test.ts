// Random and mutated bytes and descriptors against the receiver.
import assert from "node:assert/strict";
import * as v from "valibot";
import { type Dice, fuzzTest } from "../../tests/fuzz/mod.ts";
import { Errno, EventFd, MessageFlags, sendMessage, socketPair } from "../os/mod.ts";
import { encodeValue } from "./cbor.ts";
import { FRAME_MAGIC, FrameHeader } from "./frame.ts";
import {
  BlockingPeer,
  bytes,
  defineMessages,
  descriptor,
  DisconnectedError,
  PeerError,
  unixTransport,
} from "./mod.ts";

const LIMIT = 2 ** 18;

const messages = defineMessages({
  put: {
    doc: "Everything that a field can be.",
    body: v.strictObject({
      n: v.number(),
      text: v.string(),
      list: v.array(v.union([v.number(), bytes, descriptor])),
      file: v.optional(descriptor),
    }),
    answer: v.strictObject({ file: descriptor }),
  },
  note: { doc: "Not answered.", body: v.nullable(bytes) },
});

/** A stream of frames as they should be, with the number of descriptors of each. */
function wellFormed(dice: Dice): { bytes: Uint8Array; descriptors: number }[] {
  using event = EventFd.create();
  return Array.from({ length: 1 + dice.below(6) }, (_, id) => {
    const list = Array.from(
      { length: dice.below(4) },
      () => dice.below(2) ? event.fd : new Uint8Array(dice.below(300)),
    );
    const body = {
      n: dice.below(9),
      text: "ä".repeat(dice.below(40)),
      list,
      ...dice.below(2) ? { file: event.fd } : {},
    };
    const envelopes = [[1, id, "put", body], [0, "note", new Uint8Array(dice.below(60_000))], [
      4,
      id,
    ], [
      2,
      id,
      { file: event.fd },
    ]];
    const { payload, fds } = encodeValue(
      envelopes[dice.below(20) > 3 ? dice.below(2) : dice.below(4)],
    );
    const { length } = payload;
    const head = FrameHeader.encode({ magic: FRAME_MAGIC, length, descriptors: fds.length });
    return { bytes: new Uint8Array([...head, ...payload]), descriptors: fds.length };
  });
}

function mutate(bytes: Uint8Array, dice: Dice): Uint8Array {
  const changed = bytes.slice(0, dice.below(8) === 0 ? dice.below(bytes.length + 1) : bytes.length);
  for (let i = dice.below(5); i > 0 && changed.length > 0; i--) {
    const at = dice.below(dice.below(2) ? changed.length : Math.min(40, changed.length));
    changed[at] = dice.below(3) ? dice.below(256) : changed[at] ^ (1 << dice.below(8));
  }
  return changed;
}

/** How conversations ended. */
const ends = { "went on": 0, broken: 0, closed: 0 };

/** One conversation with a peer that sends nonsense. */
function converse(dice: Dice): void {
  const [a, b] = socketPair();
  using theirs = b;
  using event = EventFd.create();
  using peer = new BlockingPeer(unixTransport(a), {
    calls: messages,
    serves: messages,
    limit: LIMIT,
    handlers: { put: () => ({ file: event.fd.dup() }), note: () => {} },
    onFault: (error) => {
      throw error;
    },
  });
  const parts = dice.below(4) === 0
    ? [{ bytes: dice.noise(dice.below(3000)), descriptors: dice.below(3) }]
    : wellFormed(dice);
  const isMutated = dice.below(5) > 0;
  for (const { bytes, descriptors } of parts) {
    const changed = isMutated ? mutate(bytes, dice) : bytes;
    const count = isMutated && dice.below(6) === 0 ? dice.below(5) : descriptors;
    for (let at = 0; at < changed.length && peer.ended === undefined;) {
      const most = dice.once(3) ? 1 + dice.below(20) : 70_000 - dice.below(70_000);
      const end = Math.min(changed.length, at + most);
      const fds = at === 0 ? Array.from({ length: count }, () => event.fd) : [];
      const sent = sendMessage(theirs, changed.subarray(at, end), fds, MessageFlags.DontWait);
      if (sent > 0) at += sent;
      else if (sent !== -Errno.EAGAIN) break;
      peer.wait(0);
    }
  }
  if (dice.below(2)) theirs.close();
  peer.wait(0);
  const { ended } = peer;
  if (ended === undefined) ends["went on"]++;
  else if (ended instanceof PeerError) ends.broken++;
  else {
    assert.ok(ended instanceof DisconnectedError, `${ended}`);
    ends.closed++;
  }
}

fuzzTest({
  name: "msg",
  promise: "no bytes and descriptors of a peer crash, hang, leak or swell the receiver",
  play(dice) {
    let conversations = 0;
    for (; !dice.isOver; conversations++) converse(dice);
    return conversations;
  },
  reached() {
    for (const [end, count] of Object.entries(ends)) assert.ok(count > 10, `${end}: ${count}`);
  },
  turns: 1000,
  tapeLength: 2 ** 11,
});
