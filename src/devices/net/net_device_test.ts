import assert from "node:assert/strict";
import { memfd, MessageFlags, receiveMessage, socketPair, SocketType } from "../../os/mod.ts";
import {
  Feature,
  NetAck,
  NetConfig,
  NetControl,
  NetFeature,
  NetHeader,
  NetHeaderFlag,
  NetStatus,
} from "../../virtio/mod.ts";
import { window } from "../testing.ts";
import { NetDevice, NetEndError, StreamEnd, TapEnd } from "./mod.ts";
import { frame, internetChecksum, NetScene, packet, StreamPeer } from "./testing.ts";

/** Memory of the driver at a guest address. */
const bytesAt = (scene: NetScene, address: number, length: number) =>
  scene.receive.bytes.slice(address, address + length);

Deno.test("what the guest sends comes out of the stream as frames, in order", () => {
  using scene = new NetScene();
  const frames = [frame(60, 1), frame(1514, 2), frame(9000, 3), frame(65535, 4)];
  for (const bytes of frames) scene.transmit.add([packet(bytes)]);
  // A header of its own, an indirect table, and pieces of odd sizes.
  const odd = frame(333, 5);
  scene.transmit.add([packet(odd).slice(0, 12), odd.slice(0, 1), odd.slice(1, 8), odd.slice(8)], {
    indirect: true,
  });
  scene.transmit.add([packet(odd).slice(0, 5), packet(odd).slice(5, 19), odd.slice(7)]);
  scene.run();
  assert.deepEqual(scene.peer.frames(), [...frames, odd, odd]);
  assert.deepEqual(scene.transmit.takeUsed().map(({ written }) => written), [0, 0, 0, 0, 0, 0]);
});

Deno.test("each system call sends whole frames of 32 KiB together at most, or a single one", () => {
  // There every call is a packet of its own.
  const [ours, theirs] = socketPair(SocketType.SeqPacket);
  using peer = theirs;
  using scene = new NetScene({ end: new StreamEnd(window, ours, () => {}) });
  for (const length of [60, 20_000, 9000, 3000, 800, 65_535, 60, 32_000, 700]) {
    scene.transmit.add([packet(frame(length))]);
  }
  scene.run();
  const calls: number[] = [];
  const buffer = new Uint8Array(2 ** 18);
  for (let length; (length = receiveMessage(peer, buffer, 0, MessageFlags.DontWait).length) > 0;) {
    calls.push(length);
  }
  const sum = (...lengths: number[]) => lengths.reduce((total, length) => total + 4 + length, 0);
  assert.deepEqual(calls, [
    sum(60, 20_000, 9000, 3000),
    sum(800),
    sum(65_535),
    sum(60, 32_000),
    sum(700),
  ]);
});

Deno.test("what comes over the stream goes into the guest's buffers, however it is cut", () => {
  using scene = new NetScene();
  const requests = Array.from({ length: 12 }, () => scene.receive.add([1536]));
  const stream = [frame(60, 1), frame(1514, 2)];
  scene.peer.send(...stream);
  scene.run();
  const used = scene.receive.takeUsed();
  assert.deepEqual(used.map(({ written }) => written), [72, 1526]);
  const header = NetHeader.encode({ flags: NetHeaderFlag.DataValid, numBuffers: 1 });
  assert.deepEqual(bytesAt(scene, requests[0].addresses[0], 12), header);
  assert.deepEqual(bytesAt(scene, requests[0].addresses[0] + 12, 60), stream[0]);
  assert.deepEqual(bytesAt(scene, requests[1].addresses[0] + 12, 1514), stream[1]);
  // One frame, byte by byte.
  const message = new Uint8Array(4 + 100);
  message[3] = 100;
  message.set(frame(100, 3), 4);
  for (const byte of message) {
    scene.peer.sendRaw(new Uint8Array([byte]));
    scene.run();
  }
  assert.deepEqual(scene.receive.takeUsed().map(({ written }) => written), [112]);
  assert.deepEqual(bytesAt(scene, requests[2].addresses[0] + 12, 100), frame(100, 3));
});

Deno.test("a frame that needs several buffers gets them all at once, or waits", () => {
  using scene = new NetScene();
  const big = frame(4000, 7);
  const first = [scene.receive.add([1536]), scene.receive.add([1000, 536])];
  scene.peer.send(big);
  scene.run();
  assert.equal(scene.receive.usedIndex, 0, "not a part of it");
  const last = scene.receive.add([1536]);
  scene.run();
  const used = scene.receive.takeUsed();
  assert.deepEqual(used.map(({ written }) => written), [1536, 1536, 4012 - 2 * 1536]);
  const got = [
    bytesAt(scene, first[0].addresses[0], 1536),
    bytesAt(scene, first[1].addresses[0], 1000),
    bytesAt(scene, first[1].addresses[1], 536),
    bytesAt(scene, last.addresses[0], 4012 - 2 * 1536),
  ].flatMap((bytes) => [...bytes]);
  assert.equal(NetHeader.decode(Uint8Array.from(got)).numBuffers, 3);
  assert.deepEqual(Uint8Array.from(got.slice(12)), big);
});

Deno.test("without mergeable buffers a frame that is too long is dropped, and the next one comes", () => {
  using scene = new NetScene({ refused: NetFeature.MrgRxbuf });
  scene.receive.add([1536]);
  scene.receive.add([1536]);
  scene.peer.send(frame(2000), frame(80));
  scene.run();
  assert.deepEqual(scene.receive.takeUsed().map(({ written }) => written), [92]);
});

Deno.test("checksums that the guest leaves open are completed, in all pieces", () => {
  using scene = new NetScene();
  for (const length of [64, 65, 1001, 65535]) {
    const bytes = frame(length, length);
    const start = 34;
    const offset = 16;
    bytes.set([0x12, 0x34], start + offset);
    const header = { flags: NetHeaderFlag.NeedsCsum, csumStart: start, csumOffset: offset };
    const whole = packet(bytes, header);
    scene.transmit.add([whole.slice(0, 12), whole.slice(12, 49), whole.slice(49)]);
    scene.transmit.add([whole]);
    scene.run();
    const expected = bytes.slice();
    const sum = internetChecksum(bytes.subarray(start));
    new DataView(expected.buffer).setUint16(start + offset, sum);
    assert.deepEqual(scene.peer.frames(), [expected, expected], `${length} bytes`);
    scene.transmit.takeUsed();
  }
});

Deno.test("packets that lie about themselves are dropped", () => {
  using scene = new NetScene();
  const flags = NetHeaderFlag.NeedsCsum;
  const lies = [
    packet(frame(60), { flags, csumStart: 59, csumOffset: 0 }),
    packet(frame(60), { flags, csumStart: 0xffff, csumOffset: 0xffff }),
    packet(frame(9000), { flags, csumStart: 5000, csumOffset: 0 }),
    packet(frame(14).slice(0, 13)),
    packet(frame(14)).slice(0, 12),
    packet(frame(14)).slice(0, 3),
    packet(new Uint8Array(65536)),
  ];
  for (const lie of lies) scene.transmit.add([lie]);
  scene.transmit.add([packet(frame(60))]);
  scene.run();
  assert.equal(scene.transmit.usedIndex, lies.length + 1);
  assert.equal(scene.peer.frames().length, 1);
});

Deno.test("a full stream makes the guest wait; nothing is lost, cut or out of order", () => {
  using scene = new NetScene();
  const frames = Array.from({ length: 40 }, (_, i) => frame(20_000 + i, i));
  for (const bytes of frames) scene.transmit.add([packet(bytes)]);
  scene.run();
  assert(scene.transmit.usedIndex < 40, "the rest waits");
  const got: Uint8Array[] = [];
  for (let i = 0; i < 100 && got.length < 40; i++) {
    got.push(...scene.peer.frames());
    scene.run();
  }
  assert.deepEqual(got, frames);
  assert.equal(scene.transmit.usedIndex, 40);
});

Deno.test("packets beyond the limit wait, each way, in their order", () => {
  let now = 0;
  const told: { times: number; milliseconds: number }[] = [];
  using scene = new NetScene({
    limit: { bytes: 100_000, burst: 0.1 },
    now: () => now,
    onThrottled: (each) => told.push(each),
  });
  const frames = Array.from({ length: 50 }, (_, i) => frame(1000, i));
  for (let i = 0; i < 100; i++) scene.receive.add([1100]);
  for (const bytes of frames) scene.transmit.add([packet(bytes)], { indirect: true });
  scene.peer.send(...frames);
  const got: Uint8Array[] = [];
  let came = 0;
  for (let steps = 0; got.length < 50 || came < 50; steps++) {
    assert(steps < 500, `${got.length} went and ${came} came`);
    scene.run();
    got.push(...scene.peer.frames());
    came += scene.receive.takeUsed().length;
    const most = 10 + 2 + now / 10;
    assert(got.length <= most && came <= most + 64, `${got.length} and ${came} at ${now} ms`);
    now += Math.max(scene.device.delay, 0);
  }
  assert.deepEqual(got, frames);
  assert(now >= 380 && now <= 800, `${now} ms`);
  assert((told.at(-1)?.times ?? 0) > 0);
});

Deno.test("memory can be taken away while the stream is full: what it has half of is finished", () => {
  using scene = new NetScene();
  const frames = Array.from({ length: 30 }, (_, i) => frame(20_000 + i, i));
  for (const bytes of frames) scene.transmit.add([packet(bytes)]);
  scene.run();
  scene.device.settle();
  const taken = scene.transmit.usedIndex;
  assert.equal(scene.bench.queue(1).base, taken);
  scene.transmit.bytes.fill(0xee, 2 ** 21 + 2 ** 17, 2 ** 21 + 2 ** 20);
  const got: Uint8Array[] = [];
  for (let i = 0; i < 100 && got.length < taken; i++) {
    got.push(...scene.peer.frames());
    scene.bench.listen();
  }
  assert.deepEqual(got.slice(0, taken), frames.slice(0, taken));
});

Deno.test("buffers that were taken in advance go back when their memory does", () => {
  using scene = new NetScene();
  for (let i = 0; i < 4; i++) scene.receive.add([1536]);
  scene.peer.send(frame(10_000));
  scene.run();
  assert.equal(scene.receive.usedIndex, 0);
  scene.device.settle();
  assert.equal(scene.bench.queue(0).base, 0);
  for (let i = 0; i < 4; i++) scene.receive.add([1536]);
  scene.run();
  const used = scene.receive.takeUsed();
  assert.equal(used.length, 7);
  assert.equal(used.reduce((sum, { written }) => sum + written, 0), 10_012);
});

Deno.test("the end of the stream takes the link down, and a new one brings it up", () => {
  using scene = new NetScene();
  let announced = 0;
  scene.device.attachConfig(() => announced++);
  const status = () => NetConfig.decode(scene.device.config).status;
  assert.equal(status(), NetStatus.LinkUp);
  scene.peer[Symbol.dispose]();
  scene.run();
  assert.equal(status(), 0);
  assert.equal(announced, 1);
  assert.equal(scene.log.length, 1);
  scene.transmit.add([packet(frame(60))]);
  scene.run();
  assert.equal(scene.transmit.usedIndex, 1, "what is sent is lost");
  const [ours, theirs] = socketPair();
  using peer = new StreamPeer(theirs);
  scene.device.replaceEnd(new StreamEnd(window, ours, () => {}));
  assert.equal(status(), NetStatus.LinkUp);
  assert.equal(announced, 2);
  scene.transmit.add([packet(frame(70))]);
  scene.receive.add([1536]);
  peer.send(frame(80));
  scene.run();
  assert.deepEqual(peer.frames(), [frame(70)]);
  assert.equal(scene.receive.usedIndex, 1);
});

Deno.test("a stream that ends behind its last frame is found out, though both came at once", () => {
  using scene = new NetScene();
  scene.peer.send(frame(60));
  scene.peer[Symbol.dispose]();
  scene.bench.listen();
  assert.equal(scene.device.isUp, true, "the guest has given no buffers");
  scene.receive.add([1536]);
  scene.bench.round();
  assert.equal(scene.receive.usedIndex, 1);
  assert.equal(scene.device.isUp, false);
});

Deno.test("an end that sends no frames is given up", () => {
  using scene = new NetScene();
  scene.receive.add([1536]);
  scene.peer.sendRaw(new TextEncoder().encode("GET / HTTP/1.1\r\n"));
  scene.run();
  assert.equal(scene.device.isUp, false);
  assert.match(scene.log[0], /no stream of frames/);
});

Deno.test("frames without end that are none keep nobody from his turn", () => {
  // There every read gets one of them.
  const [ours, theirs] = socketPair(SocketType.SeqPacket);
  using peer = new StreamPeer(theirs);
  using scene = new NetScene({ end: new StreamEnd(window, ours, () => {}) });
  scene.receive.add([1536]);
  for (let i = 0; i < 100; i++) peer.send(new Uint8Array(0));
  peer.send(frame(60));
  scene.bench.listen();
  scene.bench.round();
  assert.equal(scene.receive.usedIndex, 0);
  scene.bench.listen();
  scene.bench.round();
  assert.equal(scene.receive.usedIndex, 1);
});

Deno.test("a frame that waited for buffers says nothing that a new driver does not know", () => {
  using scene = new NetScene();
  scene.peer.send(frame(60));
  scene.run();
  scene.device.settle();
  scene.device.reset();
  scene.device.start((scene.device.features | Feature.Version1) & ~NetFeature.GuestCsum);
  const { addresses } = scene.receive.add([1536]);
  scene.run();
  assert.equal(scene.receive.usedIndex, 1);
  assert.deepEqual(bytesAt(scene, addresses[0], 12), NetHeader.encode({ numBuffers: 1 }));
});

Deno.test("commands of the driver are answered, and what makes no sense is refused", () => {
  using scene = new NetScene({ pairs: 2 });
  const ask = (group: number, command: number, ...data: number[]) => {
    const { addresses } = scene.control.add([
      new Uint8Array([group, command, ...data]),
      new Uint8Array(0),
      1,
    ].filter((buffer) => typeof buffer === "number" || buffer.length > 0));
    scene.run();
    const [{ written }] = scene.control.takeUsed();
    assert.equal(written, 1);
    return scene.control.bytes[addresses[1]];
  };
  const { Rx, Mac, Vlan, Mq, GuestOffloads } = NetControl;
  assert.equal(ask(Mq.class, Mq.PairsSet, 2, 0), NetAck.Ok);
  for (const pairs of [[0, 0], [3, 0], [2, 1], [2]]) {
    assert.equal(ask(Mq.class, Mq.PairsSet, ...pairs), NetAck.Error);
  }
  assert.equal(ask(Rx.class, Rx.Promisc, 1), NetAck.Ok);
  assert.equal(ask(Mac.class, Mac.TableSet, 0, 0, 0, 0, 0, 0, 0, 0), NetAck.Ok);
  assert.equal(ask(Mac.class, Mac.AddrSet, 2, 0, 0, 0, 0, 9), NetAck.Ok);
  assert.deepEqual([...NetConfig.decode(scene.device.config).mac], [2, 0, 0, 0, 0, 9]);
  assert.equal(ask(GuestOffloads.class, 0, Number(NetFeature.GuestCsum), ...Array(7).fill(0)), 0);
  assert.equal(ask(GuestOffloads.class, 0, 0, 0, 0, 0, 0, 0, 0, 1), NetAck.Error);
  assert.equal(ask(GuestOffloads.class, 0, ...Array(8).fill(0xff)), NetAck.Error);
  assert.equal(ask(Vlan.class, Vlan.Add, 1, 0), NetAck.Error);
  assert.equal(ask(200, 1), NetAck.Error);
  scene.device.reset();
  assert.deepEqual([...NetConfig.decode(scene.device.config).mac], [
    0x52,
    0x54,
    0,
    0x12,
    0x34,
    0x56,
  ]);
});

Deno.test("the control queue is behind all pairs when there are several, and the third otherwise", () => {
  using scene = new NetScene({ pairs: 3, refused: NetFeature.Mq });
  const control = scene.bench.driver(2, 3 * 2 ** 20, 16);
  const { addresses } = control.add([new Uint8Array([0, 0, 1]), 1], { fill: 7 });
  scene.run();
  assert.equal(control.bytes[addresses[1]], NetAck.Ok);
});

Deno.test("what every pair sends goes over the one stream", () => {
  using scene = new NetScene({ pairs: 2 });
  const second = scene.bench.driver(3, 3 * 2 ** 20 + 2 ** 18, 16);
  second.add([packet(frame(60, 2))]);
  scene.transmit.add([packet(frame(60, 1))]);
  scene.run();
  assert.deepEqual(scene.peer.frames().map((bytes) => bytes[11]).sort(), [1, 2]);
});

Deno.test("a driver of an older version, and one without room for a header, lose their queue", () => {
  using old = new NetScene({ refused: Feature.Version1 });
  old.transmit.add([packet(frame(60))]);
  old.run();
  assert.equal(old.bench.queue(1).fault, "request");
  using small = new NetScene();
  small.receive.add([11]);
  small.peer.send(frame(60));
  small.run();
  assert.equal(small.bench.queue(0).fault, "request");
});

Deno.test("options and descriptors that make no device are refused", () => {
  const make = (mac: string, mtu?: number, pairs?: number) => {
    const [ours, theirs] = socketPair();
    using _theirs = theirs;
    using end = new StreamEnd(window, ours, () => {});
    return new NetDevice(window, { end, mac, mtu, pairs });
  };
  assert.throws(() => make("52:54:00:00:00"), NetEndError);
  assert.throws(() => make("53:54:00:00:00:01"), NetEndError);
  assert.throws(() => make("52:54:00:00:00:01", 67), NetEndError);
  assert.throws(() => make("52:54:00:00:00:01", 1500, 9), NetEndError);
  assert.throws(() => new TapEnd(window, [memfd("no tap", 4096)]), /no tap/);
  assert.throws(() => new StreamEnd(window, memfd("no socket", 4096), () => {}), /not a socket/);
});
