// Random and mutated bytes and descriptors against the receiver. SPECTRUM_FUZZ_SECONDS=600 for a run by hand,
// SPECTRUM_SEED to repeat one.
import assert from "node:assert/strict";
import * as v from "valibot";
import {
  Errno,
  EventFd,
  leakedDescriptors,
  MessageFlags,
  sendMessage,
  socketPair,
  trackDescriptors,
} from "../os/mod.ts";
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

const SECONDS = Number(Deno.env.get("SPECTRUM_FUZZ_SECONDS") ?? 5);
const SEED = Number(Deno.env.get("SPECTRUM_SEED") ?? Math.floor(Math.random() * 2 ** 31));
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

function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A stream of frames as they should be, with the number of descriptors of each. */
function wellFormed(below: (n: number) => number): { bytes: Uint8Array; descriptors: number }[] {
  using event = EventFd.create();
  return Array.from({ length: 1 + below(6) }, (_, id) => {
    const list = Array.from(
      { length: below(4) },
      () => below(2) ? event.fd : new Uint8Array(below(300)),
    );
    const body = {
      n: below(9),
      text: "ä".repeat(below(40)),
      list,
      ...below(2) ? { file: event.fd } : {},
    };
    const envelopes = [[1, id, "put", body], [0, "note", new Uint8Array(below(60_000))], [4, id], [
      2,
      id,
      { file: event.fd },
    ]];
    const { payload, fds } = encodeValue(envelopes[below(20) > 3 ? below(2) : below(4)]);
    const { length } = payload;
    const head = FrameHeader.encode({ magic: FRAME_MAGIC, length, descriptors: fds.length });
    return { bytes: new Uint8Array([...head, ...payload]), descriptors: fds.length };
  });
}

function mutate(bytes: Uint8Array, below: (n: number) => number): Uint8Array {
  const changed = bytes.slice(0, below(8) === 0 ? below(bytes.length + 1) : bytes.length);
  for (let i = below(5); i > 0 && changed.length > 0; i--) {
    const at = below(below(2) ? changed.length : Math.min(40, changed.length));
    changed[at] = below(3) ? below(256) : changed[at] ^ (1 << below(8));
  }
  return changed;
}

/** One conversation with a peer that sends nonsense. How it ended. */
function converse(below: (n: number) => number): "went on" | "broken" | "closed" {
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
  const parts = below(4) === 0
    ? [{ bytes: Uint8Array.from({ length: below(3000) }, () => below(256)), descriptors: below(3) }]
    : wellFormed(below);
  const isMutated = below(5) > 0;
  for (const { bytes, descriptors } of parts) {
    const changed = isMutated ? mutate(bytes, below) : bytes;
    const count = isMutated && below(6) === 0 ? below(5) : descriptors;
    for (let at = 0; at < changed.length && peer.ended === undefined;) {
      const end = Math.min(changed.length, at + 1 + below(below(3) ? 70_000 : 20));
      const fds = at === 0 ? Array.from({ length: count }, () => event.fd) : [];
      const sent = sendMessage(theirs, changed.subarray(at, end), fds, MessageFlags.DontWait);
      if (sent > 0) at += sent;
      else if (sent !== -Errno.EAGAIN) break;
      peer.wait(0);
    }
  }
  if (below(2)) theirs.close();
  peer.wait(0);
  if (peer.ended === undefined) return "went on";
  assert(
    peer.ended instanceof PeerError || peer.ended instanceof DisconnectedError,
    `${peer.ended}`,
  );
  return peer.ended instanceof PeerError ? "broken" : "closed";
}

Deno.test("no bytes and descriptors of a peer crash, hang, leak or swell the receiver", () => {
  const below = randomFrom(SEED | 1);
  const ends = { "went on": 0, broken: 0, closed: 0 };
  trackDescriptors();
  try {
    const until = performance.now() + SECONDS * 1000;
    let most = 0;
    for (let i = 0; performance.now() < until || i < 200; i++) {
      try {
        ends[converse(below)]++;
      } catch (error) {
        throw new Error(`SPECTRUM_SEED=${SEED}, conversation ${i}`, { cause: error });
      }
      assert.deepEqual(leakedDescriptors(), [], `SPECTRUM_SEED=${SEED}, conversation ${i}`);
      if (i % 64 === 0) most = Math.max(most, Deno.memoryUsage().rss);
    }
    console.log(`SPECTRUM_SEED=${SEED}: ${JSON.stringify(ends)}, at most ${most >> 20} MiB`);
    assert(most < 2 ** 30, `${most} bytes`);
    for (const [end, count] of Object.entries(ends)) assert(count > 10, `${end}: ${count}`);
  } finally {
    trackDescriptors(false);
  }
});
