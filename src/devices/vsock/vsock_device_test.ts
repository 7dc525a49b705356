import assert from "node:assert/strict";
import { Errno, type Fd, shutdownRead, shutdownWrite } from "../../os/mod.ts";
import { VsockHeader, VsockOperation as Op, VsockShutdown, VsockType } from "../../virtio/mod.ts";
import { CID, Guest, type GuestPacket, read, write } from "./testing.ts";

const PORTS = { guestPort: 0x9000_0001, hostPort: 1234 };
const text = (value: string) => new TextEncoder().encode(value);
const operations = (packets: readonly GuestPacket[]) => packets.map(({ operation }) => operation);
const textOf = (packets: readonly GuestPacket[]) =>
  packets.map(({ data }) => new TextDecoder().decode(data)).join("");

/** Reads until there is nothing for now. */
function drain(socket: Fd, guest: Guest): number {
  let bytes = 0;
  for (let part; typeof (part = read(socket)) === "string" && part !== "end"; guest.turn()) {
    bytes += part.length;
  }
  return bytes;
}

Deno.test("a program of the guest reaches one of the host", () => {
  using guest = new Guest();
  const host = guest.open(PORTS);
  guest.packet(Op.ReadWrite, PORTS, {}, text("hello"));
  assert.equal(read(host), "hello");
  write(host, "world");
  const [packet] = guest.packets();
  assert.equal(textOf([packet]), "world");
  const { sourceCid, destinationCid, sourcePort, destinationPort, type, forwarded } = packet;
  assert.deepEqual([sourceCid, destinationCid, sourcePort, destinationPort, type, forwarded], [
    2,
    CID,
    PORTS.hostPort,
    PORTS.guestPort,
    VsockType.Stream,
    5,
  ]);
  assert.deepEqual(guest.log, []);
});

Deno.test("where nobody is, the guest is refused, also later", () => {
  using guest = new Guest();
  guest.packet(Op.Request, { guestPort: 5, hostPort: 22 });
  assert.deepEqual(operations(guest.packets()), [Op.Reset]);
  guest.answers = "later";
  guest.packet(Op.Request, { guestPort: 5, hostPort: 2000 });
  assert.deepEqual(operations(guest.packets()), []);
  guest.wishes[0].answer(undefined);
  assert.deepEqual(operations(guest.packets()), [Op.Reset]);
  guest.packet(Op.Request, { guestPort: 6, hostPort: 2000 });
  guest.packet(Op.Reset, { guestPort: 6, hostPort: 2000 });
  // The guest has lost its patience: what comes is closed.
  guest.wishes[1].answer(guest.reach(2000));
  assert.equal(read(guest.reached[0]), "end");
  assert.deepEqual(operations(guest.packets()), []);
});

Deno.test("a program of the host reaches one of the guest, and what it sends with its greeting comes", () => {
  using guest = new Guest();
  using host = guest.connect("CONN");
  assert.deepEqual(guest.packets(), []);
  write(host, "ECT 52\nfirst");
  const [request] = guest.packets();
  assert.equal(request.operation, Op.Request);
  assert.equal(request.destinationPort, 52);
  const ports = { guestPort: 52, hostPort: request.sourcePort };
  assert.equal(read(host), -Errno.EAGAIN);
  guest.packet(Op.Response, ports);
  assert.equal(read(host), `OK ${ports.hostPort}\n`);
  assert.equal(textOf(guest.packets()), "first");
  guest.packet(Op.ReadWrite, ports, {}, text("answer"));
  assert.equal(read(host), "answer");
});

Deno.test("a program of the host that is refused, or talks nonsense, reads the end", () => {
  using guest = new Guest();
  using refused = guest.connect("CONNECT 52\n");
  const [request] = guest.packets();
  guest.packet(Op.Reset, { guestPort: 52, hostPort: request.sourcePort });
  assert.equal(read(refused), "end");
  for (
    const nonsense of ["GET / HTTP/1.1\n", "CONNECT 4294967296\n", "CONNECT -1\n", "x".repeat(40)]
  ) {
    using host = guest.connect(nonsense);
    assert.deepEqual(guest.packets(), []);
    assert.ok(["end", -Errno.ECONNRESET].includes(read(host)), nonsense);
  }
  using gone = guest.connect("CONNECT 53\n");
  assert.deepEqual(operations(guest.packets()), [Op.Request]);
  gone[Symbol.dispose]();
  assert.deepEqual(operations(guest.packets()), [Op.Reset]);
});

Deno.test("half of a connection ends, in either direction", () => {
  using guest = new Guest();
  const host = guest.open(PORTS);
  shutdownWrite(host);
  const [shutdown] = guest.packets();
  assert.equal(shutdown.operation, Op.Shutdown);
  assert.equal(shutdown.flags, VsockShutdown.Send);
  guest.packet(Op.ReadWrite, PORTS, {}, text("still"));
  guest.packet(Op.Shutdown, PORTS, { flags: VsockShutdown.Send });
  assert.equal(read(host), "still");
  assert.equal(read(host), "end");
  assert.deepEqual(operations(guest.packets()), [Op.Shutdown]);
  guest.packet(Op.Shutdown, PORTS, { flags: VsockShutdown.Both });
  assert.deepEqual(operations(guest.packets()), [Op.Reset]);
});

Deno.test("who does not read any more cannot be written to", () => {
  using guest = new Guest();
  const host = guest.open(PORTS);
  guest.packet(Op.Shutdown, PORTS, { flags: VsockShutdown.Receive });
  assert.throws(() => write(host, "no"));
  guest.packet(Op.ReadWrite, PORTS, {}, text("yes"));
  assert.equal(read(host), "yes");
  shutdownRead(host);
  guest.packet(Op.ReadWrite, PORTS, {}, text("lost"));
  const packets = guest.packets();
  assert.deepEqual(new Set(operations(packets)), new Set([Op.Shutdown]));
  assert.equal(packets.at(-1)?.flags, VsockShutdown.Both);
});

Deno.test("the host closes: what it wrote before comes first, and the guest has the last word", () => {
  using guest = new Guest();
  const host = guest.open(PORTS);
  write(host, "last words");
  host[Symbol.dispose]();
  const packets = guest.packets();
  assert.deepEqual(operations(packets), [Op.ReadWrite, Op.Shutdown]);
  assert.equal(packets[1].flags, VsockShutdown.Both);
  guest.packet(Op.ReadWrite, PORTS, {}, text("too late"));
  assert.deepEqual(operations(guest.packets()), []);
  guest.packet(Op.Shutdown, PORTS, { flags: VsockShutdown.Both });
  assert.deepEqual(operations(guest.packets()), [Op.Reset]);
  guest.packet(Op.ReadWrite, PORTS, {}, text("who?"));
  assert.deepEqual(operations(guest.packets()), [Op.Reset]);
  assert.deepEqual(guest.log, []);
});

Deno.test("a program of the host that closes without reading breaks the connection off", () => {
  using guest = new Guest();
  const host = guest.open(PORTS);
  guest.packet(Op.ReadWrite, PORTS, {}, text("unread"));
  host[Symbol.dispose]();
  assert.deepEqual(operations(guest.packets()), [Op.Reset]);
});

Deno.test("the guest closes: what it wrote before arrives, however slowly that is read", () => {
  using guest = new Guest();
  const host = guest.open(PORTS);
  const piece = new Uint8Array(60_000).fill(97);
  let sent = 0;
  // As much as its credit allows: then its last part waits in the device.
  for (; sent < 7; sent++) guest.packet(Op.ReadWrite, PORTS, {}, piece);
  guest.packet(Op.Shutdown, PORTS, { flags: VsockShutdown.Both });
  assert.deepEqual(operations(guest.packets()).filter((op) => op === Op.Reset), []);
  guest.packet(Op.Reset, PORTS);
  assert.equal(drain(host, guest), sent * piece.length);
  guest.turn();
  assert.equal(read(host), "end");
  assert.deepEqual(guest.log, []);
});

Deno.test("credit: the guest may send what it was promised, hears of more, and is cut off beyond that", () => {
  using guest = new Guest();
  const host = guest.open(PORTS);
  const piece = new Uint8Array(64 * 1024).fill(98);
  let room = 2 ** 18;
  let sent = 0;
  let forwarded = 0;
  for (let i = 0; i < 40; i++) {
    if (sent + piece.length - forwarded > room) {
      const bytes = drain(host, guest);
      assert.ok(bytes > 0);
    }
    for (const packet of guest.packets()) {
      ({ forwarded, bufferSize: room } = packet);
      assert.ok(forwarded <= sent);
    }
    if (sent + piece.length - forwarded > room) continue;
    guest.packet(Op.ReadWrite, PORTS, {}, piece);
    sent += piece.length;
  }
  assert.ok(sent > 1_000_000);
  const left = drain(host, guest) + drain(host, guest);
  assert.ok(left > 0);
  guest.packets();
  for (let i = 0; i < 12; i++) guest.packet(Op.ReadWrite, PORTS, {}, piece);
  assert.ok(operations(guest.packets()).includes(Op.Reset));
  assert.match(guest.log[0], /more than it has credit for/);
});

Deno.test("credit: the device asks for it when there is none, and sends as much as there is", () => {
  using guest = new Guest();
  guest.bufferSize = 10;
  const host = guest.open(PORTS);
  write(host, "0123456789abcdef");
  const packets = guest.packets();
  assert.equal(textOf(packets), "0123456789");
  assert.deepEqual(operations(packets), [Op.ReadWrite, Op.CreditRequest]);
  assert.deepEqual(guest.packets(), []);
  guest.packet(Op.CreditUpdate, PORTS, { forwarded: 4 });
  assert.equal(textOf(guest.packets()), "abcd");
  guest.packet(Op.CreditUpdate, PORTS, { forwarded: 14 });
  assert.equal(textOf(guest.packets()), "ef");
  guest.packet(Op.CreditRequest, PORTS, { forwarded: 14 });
  assert.deepEqual(operations(guest.packets()), [Op.CreditUpdate]);
  // What another thread said before that.
  guest.packet(Op.CreditUpdate, PORTS, { forwarded: 13 });
  assert.deepEqual(guest.log, []);
  guest.packet(Op.CreditUpdate, PORTS, { forwarded: 17 });
  assert.deepEqual(operations(guest.packets()), [Op.Reset]);
  assert.match(guest.log[0], /read what was not sent/);
});

Deno.test("a connection with much to tell leaves the others their turns", () => {
  using guest = new Guest();
  const bulk = guest.open(PORTS);
  const other = guest.open({ guestPort: 8, hostPort: 1234 });
  write(bulk, "x".repeat(150_000));
  guest.turn();
  write(other, "me too");
  const sources: string[] = [];
  for (let i = 0; i < 8; i++) {
    for (const packet of guest.packets()) {
      if (packet.operation === Op.ReadWrite) {
        sources.push(packet.destinationPort === 8 ? "other" : "bulk");
      }
    }
  }
  const at = sources.indexOf("other");
  assert.ok(at >= 0 && at < 34, `after ${at} packets`);
  assert.equal(sources.filter((source) => source === "bulk").length, Math.ceil(150_000 / 4096));
});

Deno.test("buffers of any shape are filled", () => {
  using guest = new Guest({ buffers: 0 });
  guest.offer([44, 1]);
  guest.packet(Op.Request, PORTS);
  assert.deepEqual(operations(guest.packets(false)), [Op.Response]);
  write(guest.reached[0], "abcdefghij");
  for (const shape of [[10, 34, 1], [45], [40, 8, 100]]) guest.offer(shape);
  assert.deepEqual(guest.packets(false).map(({ data }) => new TextDecoder().decode(data)), [
    "a",
    "b",
    "cdefghij",
  ]);
});

Deno.test("a buffer without room breaks the queue", () => {
  using guest = new Guest({ buffers: 0 });
  guest.offer([44]);
  guest.packet(Op.Request, PORTS);
  assert.equal(guest.bench.queue(0).fault, "request");
});

Deno.test("what is for nobody is refused, and packets in another's name are dropped", () => {
  using guest = new Guest();
  guest.packet(Op.ReadWrite, PORTS, {}, text("x"));
  guest.packet(Op.Reset, PORTS);
  guest.packet(Op.Request, PORTS, { type: VsockType.SeqPacket });
  guest.packet(Op.Request, PORTS, { destinationCid: 2 ** 32 + 5 });
  guest.packet(Op.Request, PORTS, { sourceCid: CID + 1 });
  const packets = guest.packets();
  assert.deepEqual(operations(packets), [Op.Reset, Op.Reset, Op.Reset]);
  assert.deepEqual(packets.map(({ type, sourceCid }) => [type, sourceCid]), [
    [VsockType.Stream, 2],
    [VsockType.SeqPacket, 2],
    [VsockType.Stream, 2 ** 32 + 5],
  ]);
  assert.equal(guest.log.length, 1);
});

Deno.test("a packet that is longer than its chain ends its connection", () => {
  using guest = new Guest();
  guest.open(PORTS);
  guest.packet(Op.ReadWrite, PORTS, { length: 6 }, text("short"));
  assert.deepEqual(operations(guest.packets()), [Op.Reset]);
  assert.match(guest.log[0], /shorter than it says/);
});

Deno.test("a guest that takes no answers is not listened to for ever, and goes on when it does", () => {
  using guest = new Guest({ buffers: 0 });
  const header = VsockHeader.encode({
    sourceCid: CID,
    destinationCid: 2,
    type: 1,
    operation: Op.Response,
  });
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 32; i++) guest.send.add([header]);
    guest.turn();
    if (round < 2) guest.send.takeUsed();
  }
  assert.equal(guest.send.usedIndex, 64);
  for (let i = 0; i < 32; i++) guest.offer();
  guest.packets();
  assert.equal(guest.send.usedIndex, 96);
});

Deno.test("there are so many connections and no more; who says nothing makes room", () => {
  using guest = new Guest({ connections: 3 });
  using silent = guest.connect();
  guest.turn();
  guest.open({ guestPort: 1, hostPort: 1000 });
  guest.open({ guestPort: 2, hostPort: 1000 });
  guest.open({ guestPort: 3, hostPort: 1000 });
  assert.equal(read(silent), "end");
  guest.packet(Op.Request, { guestPort: 4, hostPort: 1000 });
  assert.deepEqual(operations(guest.packets()), [Op.Reset]);
  // Who waits is accepted as soon as there is room.
  using waits = guest.connect("CONNECT 7\n");
  assert.deepEqual(guest.packets(), []);
  guest.packet(Op.Reset, { guestPort: 1, hostPort: 1000 });
  assert.deepEqual(operations(guest.packets()), [Op.Request]);
  assert.equal(read(waits), -Errno.EAGAIN);
});

Deno.test("buffers that a predecessor had in hand are used once each", () => {
  using guest = new Guest({ base: 65_530, buffers: 0 });
  const taken = [guest.offer(), guest.offer(), guest.offer()];
  guest.bench.restart(guest.receive, 0, { resubmit: [taken[2], taken[0], taken[1]] });
  guest.packet(Op.Request, PORTS);
  const host = guest.reached[0];
  for (let i = 0; i < 20; i++) guest.offer();
  const used = guest.receive.takeUsed();
  // The first fills a buffer, so that more are taken for what follows, which is nothing.
  for (const bytes of [4096, 9000, 3, 30_000]) {
    write(host, "x".repeat(bytes));
    guest.turn();
    const filled = guest.receive.takeUsed();
    used.push(...filled);
    assert.equal(filled.reduce((sum, { written }) => sum + written - VsockHeader.size, 0), bytes);
  }
  assert.deepEqual(used.slice(0, 3).map(({ head }) => head), [taken[2], taken[0], taken[1]]);
  assert.equal(guest.bench.queue(0).base, (65_530 + used.length) & 0xffff);
});

Deno.test("a driver that begins anew has no connections; one that goes on after a predecessor of ours is told", () => {
  using guest = new Guest();
  const host = guest.open(PORTS);
  const old = guest.open({ guestPort: 8, hostPort: 1000 });
  guest.device.reset();
  assert.equal(read(host), "end");
  guest.boot();
  guest.turn();
  assert.equal(guest.event.usedIndex, 0);
  // Another kind of frontend says nothing, and begins anew.
  const other = guest.open(PORTS);
  guest.boot();
  guest.turn();
  assert.equal(read(other), "end");
  assert.equal(read(old), "end");
  assert.equal(guest.event.usedIndex, 0);

  using recovered = new Guest({ base: 300 });
  recovered.turn();
  assert.deepEqual(recovered.event.takeUsed().map(({ written }) => written), [4]);
  assert.equal(read(recovered.open(PORTS)), -Errno.EAGAIN);
  // It rests, and goes on.
  const kept = recovered.reached[0];
  recovered.boot(301);
  recovered.packet(Op.ReadWrite, PORTS, {}, text("still there"));
  assert.equal(read(kept), "still there");
  assert.equal(recovered.event.usedIndex, 0);
});
