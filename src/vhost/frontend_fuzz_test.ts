// A hostile backend.
import assert from "node:assert/strict";
import { type Dice, fuzzTest } from "../../tests/fuzz/mod.ts";
import { EventFd, memfd, Reactor, sendMessage, socketPair } from "../os/mod.ts";
import { Frontend, FrontendMessage, ProtocolFeature } from "./mod.ts";
import { type Line, message, type Script, ScriptedBackend, u64 } from "./scripted_backend.ts";

/** Some bytes, in pieces, some with descriptors; mostly near what a message is, since pure noise ends at once. */
function noise(dice: Dice, request: number): Line[] {
  const header = message(
    dice.below(4) > 0 ? request : dice.below(50),
    dice.below(4) > 0 ? 5 : dice.below(16),
    dice.bytes(dice.below(3) > 0 ? 8 : dice.below(80)),
  );
  const bytes = dice.below(3) > 0 ? header : dice.bytes(dice.below(200));
  if (dice.below(3) === 0 && bytes.length > 0) {
    bytes[dice.below(bytes.length)] ^= 1 << dice.below(8);
  }
  const lines: Line[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = dice.below(3) > 0 ? bytes.length : 1 + dice.below(16);
    const fds = Array.from({ length: dice.below(4) === 0 ? dice.below(12) : 0 }, () => (
      memfd("gift", 4096)
    ));
    lines.push({ bytes: bytes.subarray(at, at + length), fds });
    at += length;
  }
  if (dice.below(6) === 0) lines.push("hang up");
  return lines;
}

const ALL = ProtocolFeature.Mq | ProtocolFeature.ReplyAck | ProtocolFeature.Config |
  ProtocolFeature.BackendReq | ProtocolFeature.InflightShmfd | ProtocolFeature.ResetDevice;

const answered: number[] = [
  FrontendMessage.GetFeatures,
  FrontendMessage.GetProtocolFeatures,
  FrontendMessage.GetQueueNum,
  FrontendMessage.SetBackendReqFd,
  FrontendMessage.GetConfig,
  FrontendMessage.SetFeatures,
  FrontendMessage.GetInflightFd,
  FrontendMessage.SetVringKick,
  FrontendMessage.GetVringBase,
];

/** Starts and stops a device whose backend tells the truth up to some message, and then noise. Says how that ended. */
async function live(dice: Dice): Promise<string> {
  using reactor = new Reactor();
  using kick = EventFd.create();
  using fd = memfd("memory", 4096);
  const from = dice.of(answered);
  let lying = false;
  const script: Script = (heard, backend) => {
    lying ||= heard.request === from;
    // Sometimes also on the way of the backend's requests.
    if (lying && backend.requestSocket !== undefined && dice.below(3) === 0) {
      const near = message(2, dice.below(2) * 8 + 1, dice.bytes(0));
      sendMessage(backend.requestSocket, dice.below(2) > 0 ? near : dice.bytes(30), [], 0x40);
    }
    return lying ? noise(dice, heard.request) : undefined;
  };
  const [ours, theirs] = socketPair();
  using _backend = new ScriptedBackend(theirs, reactor, {
    protocolFeatures: ALL,
    config: new Uint8Array(8),
    makeInflight: () => memfd("inflight", 4096),
  }, script);
  using frontend = new Frontend(ours, reactor, {
    name: "disk0",
    replyTimeoutMs: 30,
    configSize: 8,
  });
  const memory = [{ guestAddress: 0, size: 4096, userAddress: 0x1000, fd }];
  const queue = { index: 0, size: 8, desc: 0x1000, avail: 0x1100, used: 0x1200, base: 0 };
  const life = async () => {
    await frontend.negotiate();
    await frontend.start({
      features: 0n,
      memory,
      queues: [{ ...queue, kick: kick.fd, call: kick.fd }],
    });
    await frontend.stop();
  };
  const hung = Promise.withResolvers<string>();
  const timer = setTimeout(hung.resolve, 5000, "hung");
  const ended = life().then(() => "went well", (error: Error) => error.name);
  const end = await Promise.race([ended, hung.promise]);
  clearTimeout(timer);
  return end;
}

/** How often each way to end was reached. */
const ends = new Map(
  [
    ...["went well", "BackendRefused", "BackendAway", "BackendDisconnected", "ProtocolError"],
  ].map((end) => [end, 0]),
);

fuzzTest({
  name: "frontend",
  promise: "whatever a backend sends, everything settles and nothing stays open",
  async play(dice) {
    const end = await live(dice);
    const before = ends.get(end);
    assert.ok(before !== undefined, end);
    ends.set(end, before + 1);
    return 1;
  },
  reached() {
    for (const end of ["BackendAway", "BackendDisconnected", "ProtocolError"]) {
      assert.ok((ends.get(end) ?? 0) > 0, end);
    }
    assert.ok((ends.get("ProtocolError") ?? 0) > 100);
  },
  turns: 400,
  tapeLength: 2 ** 9,
});

fuzzTest({
  name: "frontend-at-rest",
  promise: "noise on a connection at rest breaks it",
  async play(dice) {
    using reactor = new Reactor();
    const [ours, theirs] = socketPair();
    using backend = new ScriptedBackend(theirs, reactor);
    const broken = Promise.withResolvers<Error>();
    using frontend = new Frontend(ours, reactor, { name: "x", onDisconnect: broken.resolve });
    await frontend.negotiate();
    backend.say(new Uint8Array([...dice.bytes(1 + dice.below(100)), ...u64(0n)]));
    assert.equal((await broken.promise).name, "ProtocolError");
    return 1;
  },
  turns: 50,
  tapeLength: 2 ** 7,
});
