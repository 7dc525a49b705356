import assert from "node:assert/strict";
import {
  EventFd,
  leakedDescriptors,
  memfd,
  Reactor,
  sendMessage,
  socketPair,
  trackDescriptors,
} from "../os/mod.ts";
import { Frontend, FrontendMessage, ProtocolFeature } from "./mod.ts";
import { type Line, message, type Script, ScriptedBackend, u64 } from "./scripted_backend.ts";

/** xorshift32: the same lies in each run. */
class Dice {
  constructor(private state: number) {}
  below(limit: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % limit;
  }
  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}

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

Deno.test("whatever a backend sends, everything settles and nothing stays open", async () => {
  trackDescriptors();
  const ends = new Map<string, number>();
  {
    using reactor = new Reactor();
    using kick = EventFd.create();
    using fd = memfd("memory", 4096);
    for (let seed = 1; seed <= 400; seed++) {
      const dice = new Dice(seed * 2654435761);
      const from = answered[dice.below(answered.length)];
      // Truth up to some message, then noise; sometimes also on the way of the backend's requests.
      let lying = false;
      const script: Script = (heard, backend) => {
        lying ||= heard.request === from;
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
      assert.notEqual(end, "hung", `seed ${seed}`);
      assert.ok(!["TypeError", "Error", "OsError"].includes(end), `${end} with seed ${seed}`);
      ends.set(end, (ends.get(end) ?? 0) + 1);
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(leakedDescriptors(), []);
  trackDescriptors(false);
  // The noise reaches all the ways to end, or it tests too little.
  const reached = [...ends.keys()].sort();
  assert.deepEqual(
    reached.filter((name) => name !== "went well" && name !== "BackendRefused"),
    ["BackendAway", "BackendDisconnected", "ProtocolError"],
  );
  assert.ok((ends.get("ProtocolError") ?? 0) > 100, JSON.stringify([...ends]));
});

Deno.test("pure noise on a connection at rest breaks it", async () => {
  using reactor = new Reactor();
  for (let seed = 1; seed <= 50; seed++) {
    const dice = new Dice(seed);
    const [ours, theirs] = socketPair();
    using backend = new ScriptedBackend(theirs, reactor);
    const broken = Promise.withResolvers<Error>();
    using frontend = new Frontend(ours, reactor, { name: "x", onDisconnect: broken.resolve });
    await frontend.negotiate();
    backend.say(new Uint8Array([...dice.bytes(1 + dice.below(100)), ...u64(0n)]));
    assert.equal((await broken.promise).name, "ProtocolError");
  }
});
