import assert from "node:assert/strict";
import {
  Errno,
  type Fd,
  MessageFlags,
  pipe,
  read,
  receiveMessage,
  sendMessage,
  shutdownWrite,
  socketPair,
  writeAll,
} from "../../os/mod.ts";
import { WlCommand, WlFeature, WlFlag, WlResponse } from "../../virtio/mod.ts";
import {
  ALL_FEATURES,
  Guest,
  type Message,
  newNamed,
  newVfd,
  note,
  parse,
  send,
  typeOf,
} from "./testing.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

function random(length: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(length);
  for (let at = 0; at < length; at += 65536) crypto.getRandomValues(data.subarray(at, at + 65536));
  return data;
}

/** As deepEqual, which takes for ever to say how long arrays differ. */
function same(got: ArrayLike<number>, wanted: Uint8Array): void {
  assert.equal(got.length, wanted.length);
  assert.equal(wanted.findIndex((value, i) => got[i] !== value), -1);
}

/** What the host gets now, with its descriptors. */
function heard(fd: Fd, most = 65536) {
  const buffer = new Uint8Array(most);
  const { length, fds } = receiveMessage(fd, buffer, 253, MessageFlags.DontWait);
  return { length, text: text(buffer.subarray(0, Math.max(length, 0))), fds };
}

Deno.test("a context carries bytes both ways", () => {
  using guest = new Guest();
  const id = guest.context();
  assert.deepEqual(guest.names, ["test"]);
  assert.equal(guest.send(id, "hello"), WlResponse.Ok);
  assert.equal(heard(guest.host).text, "hello");
  writeAll(guest.host, bytes("good day"));
  const [message, ...more] = guest.messages();
  assert.deepEqual([message.type, message.id, message.ids], [WlCommand.Receive, id, []]);
  assert.equal(text(message.data), "good day");
  assert.deepEqual(more, []);
  assert.equal(guest.close(id), WlResponse.Ok);
  assert.equal(heard(guest.host).length, 0);
});

Deno.test("a context is what the features say", () => {
  for (
    const [features, flags] of [
      [ALL_FEATURES, WlFlag.Read | WlFlag.Write],
      [ALL_FEATURES & ~WlFeature.TransFlags, WlFlag.Control],
    ] as const
  ) {
    using guest = new Guest({ features });
    const answer = guest.answer(newVfd(WlCommand.NewContext, 5));
    assert.equal(answer.length, 64);
    const { type, id, flags: got, page, size } = parse(answer);
    assert.deepEqual([type, id, got, page, size], [WlResponse.New, 5, flags, 0, 0]);
    assert.deepEqual(guest.names, ["wayland"]);
  }
});

Deno.test("names that the configuration lacks, and sockets that nobody serves", () => {
  using guest = new Guest();
  assert.equal(guest.result(newNamed(1, "other")), WlResponse.InvalidId);
  assert.equal(guest.result(newNamed(1, "nobody")), WlResponse.Error);
  assert.equal(guest.result(newNamed(1, "")), WlResponse.InvalidId);
  // As long as there is room, and cut off by whatever follows.
  assert.equal(guest.result(newNamed(1, "ü".repeat(16))), WlResponse.InvalidId);
  assert.deepEqual(guest.names, ["other", "nobody", "", "ü".repeat(16)]);
  assert.equal(guest.result(newNamed(1, "test")), WlResponse.New);
});

Deno.test("the guest chooses free ids of its own range", () => {
  using guest = new Guest();
  const make = (id: number) => guest.result(newVfd(WlCommand.NewPipe, id, { flags: WlFlag.Read }));
  for (const id of [0, 0x4000_0000, 0x4000_0001, 0x8000_0000, 0xffff_ffff]) {
    assert.equal(make(id), WlResponse.InvalidId);
  }
  assert.equal(make(0x3fff_ffff), WlResponse.New);
  assert.equal(make(0x3fff_ffff), WlResponse.InvalidId);
  assert.equal(guest.close(0x3fff_ffff), WlResponse.Ok);
  assert.equal(guest.close(0x3fff_ffff), WlResponse.InvalidId);
  assert.equal(make(0x3fff_ffff), WlResponse.New);
});

Deno.test("commands that nobody knows, and such that are cut off", () => {
  using guest = new Guest();
  const id = guest.context();
  for (const type of [0, 0x103, 0x107, 0x108, 0x109, 0x10b, 0x183, 0x1000, 0xffff_ffff]) {
    assert.equal(guest.result(newVfd(type, 77)), WlResponse.InvalidCommand, type.toString(16));
  }
  for (
    const [command, shortest] of [
      [newVfd(WlCommand.New, 9, { size: 4096 }), 28],
      [newVfd(WlCommand.NewEvent, 9), 28],
      [note(WlCommand.Close, 9), 12],
      [send(id, ""), 16],
    ] as const
  ) {
    for (let length = 1; length < shortest; length++) {
      assert.equal(guest.result(command.subarray(0, length)), WlResponse.InvalidCommand);
    }
  }
  assert.equal(guest.result(newNamed(9, "test").subarray(0, 32)), WlResponse.New);
});

Deno.test("an answer is as long as there is room; a command without any is not performed", () => {
  using guest = new Guest();
  const make = newVfd(WlCommand.NewPipe, 1, { flags: WlFlag.Read });
  assert.equal(guest.answer(make, 0).length, 0);
  assert.equal(guest.answer(make, 7).length, 0);
  assert.equal(guest.answer(make, 9).length, 9);
  assert.equal(guest.answer(note(WlCommand.Close, 1), 64).length, 8);
});

Deno.test("messages of any length arrive whole and in order, also in several pieces", () => {
  using guest = new Guest();
  const id = guest.context();
  const data = random(50_000);
  for (let at = 0, length = 1; at < data.length; at += length, length = (length * 7) % 4093) {
    writeAll(guest.host, data.subarray(at, at + length));
  }
  const got = guest.messages();
  assert.ok(got.every(({ data }) => data.length <= 4096 - 16));
  same(got.flatMap(({ data }) => [...data]), data);
  assert.ok(got.every((message) => message.id === id));
});

Deno.test("descriptors of the host are announced, then come with the first byte of their message", () => {
  using guest = new Guest();
  const id = guest.context();
  const [from, to] = pipe();
  const [one, other] = socketPair();
  using _ends = new DisposableStack();
  for (const end of [from, to, one, other]) _ends.use(end);
  writeAll(guest.host, bytes("before"));
  sendMessage(guest.host, bytes("with"), [from, to, one]);
  writeAll(guest.host, bytes("after"));
  const got = guest.messages();
  assert.deepEqual(
    got.map(({ type }) => type),
    [
      WlCommand.Receive,
      WlCommand.New,
      WlCommand.New,
      WlCommand.New,
      WlCommand.Receive,
      WlCommand.Receive,
    ],
  );
  const announced = got.slice(1, 4);
  assert.deepEqual(announced.map(({ flags }) => flags), [
    WlFlag.Read,
    WlFlag.Write,
    WlFlag.Read | WlFlag.Write,
  ]);
  assert.ok(announced.every(({ id }) => id >= 0x4000_0001 && id < 0x8000_0000));
  assert.deepEqual(got[4].ids, announced.map(({ id }) => id));
  assert.equal(got[4].id, id);
  assert.deepEqual([0, 4, 5].map((i) => text(got[i].data)), ["before", "with", "after"]);
  // They work.
  assert.equal(guest.send(announced[2].id, "over the pair"), WlResponse.Ok);
  assert.equal(heard(other).text, "over the pair");
  writeAll(to, bytes("through the pipe"));
  assert.equal(text(guest.messages()[0].data), "through the pipe");
});

Deno.test("a message with descriptors that fills a buffer goes on in the next one", () => {
  using guest = new Guest();
  guest.context();
  const [from, to] = pipe();
  using _from = from, _to = to;
  const data = random(4080);
  sendMessage(guest.host, data, [from]);
  const got = guest.messages().slice(1);
  assert.deepEqual(got.map(({ ids, data }) => [ids.length, data.length]), [[1, 4076], [0, 4]]);
  same(got.flatMap(({ data }) => [...data]), data);
});

Deno.test("what the guest sends is a descriptor of the host", () => {
  using guest = new Guest();
  const id = guest.context();
  const other = guest.context();
  const otherHost = guest.host;
  const event = guest.event();
  const { id: memory } = guest.memory(8192);
  assert.equal(guest.send(id, "x", [memory, other, event]), WlResponse.Ok);
  const { text: got, fds } = heard(guest.hosts[0]);
  assert.equal(got, "x");
  assert.equal(fds.length, 3);
  writeAll(fds[1], bytes("as the guest"));
  assert.equal(heard(otherHost).text, "as the guest");
  for (const fd of fds) fd[Symbol.dispose]();
});

Deno.test("ids in a SEND are checked before anything is sent", () => {
  using guest = new Guest();
  const id = guest.context();
  const { id: memory } = guest.memory(4096);
  assert.equal(guest.send(id, "x", [memory, 999]), WlResponse.InvalidId);
  assert.equal(guest.send(999, "x"), WlResponse.InvalidId);
  assert.equal(guest.send(memory, "x"), WlResponse.InvalidType);
  assert.equal(guest.send(id, "", [memory]), WlResponse.InvalidType);
  assert.equal(guest.send(id, "x", Array(29).fill(memory)), WlResponse.InvalidType);
  // More ids than the command has bytes for.
  const lying = send(id, "x");
  new DataView(lying.buffer).setUint32(12, 5, true);
  assert.equal(guest.result(lying), WlResponse.InvalidCommand);
  new DataView(lying.buffer).setUint32(12, 0xffff_ffff, true);
  assert.equal(guest.result(lying), WlResponse.InvalidType);
  assert.equal(heard(guest.host).length, -Errno.EAGAIN);
  assert.equal(guest.send(id, "", []), WlResponse.Ok);
  assert.equal(guest.send(id, "x", Array(28).fill(memory)), WlResponse.Ok);
  const { fds } = heard(guest.host);
  assert.equal(fds.length, 28);
  for (const fd of fds) fd[Symbol.dispose]();
});

Deno.test("a context is hung up after its last byte, and told so once", () => {
  using guest = new Guest();
  const id = guest.context();
  writeAll(guest.host, bytes("the last words"));
  guest.host.close();
  const got = guest.messages();
  assert.deepEqual(got.map(({ type }) => type), [WlCommand.Receive, WlCommand.HangUp]);
  assert.equal(got[1].id, id);
  assert.equal(guest.send(id, "x"), WlResponse.Error);
  assert.equal(guest.send(id, "x"), WlResponse.Error);
  assert.deepEqual(guest.messages(), []);
  assert.equal(guest.close(id), WlResponse.Ok);
});

Deno.test("a host that says no more may still listen", () => {
  using guest = new Guest();
  const id = guest.context();
  writeAll(guest.host, bytes("over"));
  shutdownWrite(guest.host);
  assert.deepEqual(guest.messages().map(({ type }) => type), [
    WlCommand.Receive,
    WlCommand.HangUp,
  ]);
  assert.equal(guest.send(id, "and out"), WlResponse.Ok);
  assert.equal(heard(guest.host).text, "and out");
});

Deno.test("a peer that leaves something unread is gone all the same", () => {
  using guest = new Guest();
  const id = guest.context();
  assert.equal(guest.send(id, "never read"), WlResponse.Ok);
  guest.host.close();
  assert.deepEqual(guest.messages().map(({ type }) => type), [WlCommand.HangUp]);
  assert.equal(guest.send(id, "x"), WlResponse.Error);
});

Deno.test("two guests' worth of contexts take turns", () => {
  using guest = new Guest({ buffers: 4 });
  const ids = [guest.context(), guest.context(), guest.context()];
  for (const host of guest.hosts) writeAll(host, new Uint8Array(100_000));
  const first: number[] = [];
  while (first.length < 60) {
    first.push(...guest.messages(false).map(({ id }) => id)), guest.offer(4);
  }
  for (const id of ids) {
    const count = first.filter((each) => each === id).length;
    assert.ok(count >= 10, `${count} of 60`);
  }
});

Deno.test("without in buffers nothing is lost, and nothing is read ahead", () => {
  using guest = new Guest({ buffers: 0 });
  const ids = [guest.context(), guest.context()];
  const [from, to] = pipe();
  using _from = from;
  for (const host of guest.hosts) {
    sendMessage(host, bytes("first"), [to]);
    writeAll(host, bytes("second"));
    host.close();
  }
  to.close();
  assert.deepEqual(guest.messages(), []);
  const got: Message[] = [];
  for (let i = 0; i < 20; i++) {
    guest.offer(1);
    const now = guest.messages(false);
    assert.ok(now.length <= 1);
    got.push(...now);
  }
  for (const id of ids) {
    const its = got.filter((message) => message.id === id);
    assert.deepEqual(
      its.map(({ type, data }) => [type, text(data)]),
      [[WlCommand.Receive, "first"], [WlCommand.Receive, "second"], [WlCommand.HangUp, ""]],
    );
    const [announced] = its[0].ids;
    const at = got.findIndex(({ id, type }) => id === announced && type === WlCommand.New);
    assert.ok(at >= 0 && at < got.indexOf(its[0]));
  }
});

Deno.test("in buffers that are of no use come back empty", () => {
  using guest = new Guest({ buffers: 0 });
  guest.context();
  writeAll(guest.host, bytes("hello"));
  guest.offer(2, 16);
  guest.offer(1, 256);
  const lengths = guest.messages(false).map(({ data }) => text(data));
  assert.deepEqual(lengths, ["", "", "hello"]);
});

Deno.test("a SEND that does not fit waits, others go on, and it is answered when all of it is gone", () => {
  using guest = new Guest();
  const full = guest.context();
  const [host] = guest.hosts;
  const other = guest.context();
  const data = random(500_000);
  const slot = guest.command(send(full, data));
  assert.equal(guest.late(slot), undefined);
  const second = guest.command(send(full, "behind it"));
  assert.equal(guest.send(other, "meanwhile"), WlResponse.Ok);
  assert.equal(guest.late(second), undefined);
  const got: number[] = [];
  for (let i = 0; i < 1000 && got.length < data.length + 9; i++) {
    const buffer = new Uint8Array(65536);
    const { length } = receiveMessage(host, buffer, 0, MessageFlags.DontWait);
    if (length > 0) got.push(...buffer.subarray(0, length));
    guest.turn();
  }
  assert.equal(guest.late(slot), WlResponse.Ok);
  assert.equal(guest.late(second), WlResponse.Ok);
  same(got.slice(0, data.length), data);
  assert.equal(text(new Uint8Array(got.slice(data.length))), "behind it");
});

Deno.test("a SEND that waits keeps what it sends, though the guest closes everything", () => {
  using guest = new Guest();
  const id = guest.context();
  const event = guest.event();
  const slot = guest.command(send(id, new Uint8Array(500_000)));
  const second = guest.command(send(id, "with an event", [event]));
  assert.equal(guest.close(event), WlResponse.Ok);
  assert.equal(guest.close(id), WlResponse.Ok);
  assert.equal(guest.close(id), WlResponse.InvalidId);
  let last: ReturnType<typeof heard> | undefined;
  for (let i = 0; i < 1000; i++) {
    const now = heard(guest.host);
    if (now.length === 0) break;
    if (now.length > 0) last = now;
    guest.turn();
  }
  assert.equal(guest.late(slot), WlResponse.Ok);
  assert.equal(guest.late(second), WlResponse.Ok);
  assert.ok(last?.text.endsWith("with an event"));
  assert.equal(last?.fds.length, 1);
  for (const fd of last?.fds ?? []) fd[Symbol.dispose]();
});

Deno.test("a SEND that waits for a peer that goes is answered with an error", () => {
  using guest = new Guest();
  const id = guest.context();
  const { id: memory } = guest.memory(4096);
  const slots = [
    guest.command(send(id, new Uint8Array(500_000))),
    guest.command(send(id, "x", [memory])),
  ];
  guest.host.close();
  guest.turn();
  assert.deepEqual(slots.map((slot) => guest.late(slot)), [WlResponse.Error, WlResponse.Error]);
  assert.deepEqual(guest.messages().map(({ type }) => type), [WlCommand.HangUp]);
});

Deno.test("a paused VM loses nothing", () => {
  using guest = new Guest();
  const id = guest.context();
  const event = guest.event();
  const { id: memory } = guest.memory(4096);
  const data = random(500_000);
  const slot = guest.command(send(id, data));
  const empty = guest.command(send(id, ""));
  const second = guest.command(send(id, "end", [event]));
  guest.pause();
  assert.equal(guest.late(empty), WlResponse.Ok);
  // The driver's memory may go: what waits is answered, and the device has it.
  assert.equal(guest.late(slot), WlResponse.Ok);
  assert.equal(guest.late(second), WlResponse.Ok);
  guest.out.bytes.fill(0, 2 ** 21);
  writeAll(guest.host, bytes("while it was paused"));
  guest.resume();
  assert.deepEqual(guest.messages().map(({ data }) => text(data)), ["while it was paused"]);
  const third = guest.command(send(id, "after"));
  assert.equal(guest.late(third), undefined);
  const got: number[] = [];
  let fds = 0;
  for (let i = 0; i < 1000 && got.length < data.length + 8; i++) {
    const buffer = new Uint8Array(65536);
    const received = receiveMessage(guest.host, buffer, 9, MessageFlags.DontWait);
    if (received.length > 0) got.push(...buffer.subarray(0, received.length));
    for (const fd of received.fds) fd[Symbol.dispose](), fds++;
    guest.turn();
  }
  same(got.slice(0, data.length), data);
  assert.equal(text(new Uint8Array(got.slice(data.length))), "endafter");
  assert.equal(fds, 1);
  assert.equal(guest.late(third), WlResponse.Ok);
  assert.equal(guest.close(memory), WlResponse.Ok);
});

Deno.test("nothing is left after a reset, whatever was under way", () => {
  using guest = new Guest({ buffers: 1 });
  const before = [...Deno.readDirSync("/proc/self/fd")].length;
  for (let round = 0; round < 3; round++) {
    const id = guest.context();
    const pipeId = guest.pipe("write");
    const { id: memory } = guest.memory(1 << 20);
    for (let i = 0; i < 6; i++) guest.command(send(pipeId, new Uint8Array(16_000)));
    guest.command(send(id, new Uint8Array(500_000)));
    guest.command(send(id, "x", [pipeId, memory]));
    guest.close(id);
    const [from, to] = pipe();
    guest.context();
    sendMessage(guest.host, bytes("x"), [from, to, from]);
    from.close();
    to.close();
    guest.messages(false);
    guest.reset();
    guest.resume(1);
    for (const host of guest.hosts.splice(0)) host.close();
    assert.equal([...Deno.readDirSync("/proc/self/fd")].length, before);
  }
});

Deno.test("an unread message of the host ends when its VFD does", () => {
  using guest = new Guest({ buffers: 0 });
  const id = guest.context();
  const [from, to] = pipe();
  const [one, other] = pipe();
  using _from = from, _one = one;
  sendMessage(guest.host, bytes("x"), [to]);
  to.close();
  guest.turn();
  assert.equal(guest.close(id), WlResponse.Ok);
  assert.equal(read(from, new Uint8Array(1)), 0);

  // The guest has heard of one of two, so it hears of the message as well.
  const second = guest.context();
  sendMessage(guest.host, bytes("y"), [other, other]);
  other.close();
  guest.offer(1);
  const [{ id: announced }] = guest.messages(false);
  assert.equal(guest.close(second), WlResponse.Ok);
  guest.offer(4);
  const got = guest.messages(false);
  assert.deepEqual(got.map(({ type }) => type), [WlCommand.New, WlCommand.Receive]);
  assert.deepEqual(got[1].ids, [announced, got[0].id]);
  for (const id of got[1].ids) assert.equal(guest.close(id), WlResponse.Ok);
  assert.equal(read(one, new Uint8Array(1)), 0);
  assert.equal(typeOf(guest.answer(note(WlCommand.Close, second))), WlResponse.InvalidId);
});

Deno.test("it does not matter how a driver cuts its buffers", () => {
  using guest = new Guest({ buffers: 0 });
  const id = guest.context();
  const cut = (command: Uint8Array, length: number) =>
    Array.from(
      { length: Math.ceil(command.length / length) },
      (_, i) => command.slice(i * length, (i + 1) * length),
    );
  for (const length of [1, 3, 4, 7, 13]) {
    const event = guest.event();
    const data = random(1000).fill(length);
    const slots = Array.from({ length: 8 }, () => length);
    const { addresses } = guest.out.add([
      ...cut(send(id, data, [event, event]), 8 * length),
      ...slots,
    ], { indirect: true });
    guest.bench.round();
    const { written } = guest.out.takeUsed()[0];
    assert.equal(written, 8);
    const answer = addresses.slice(-8).flatMap((at) => [...guest.out.bytes.slice(at, at + length)]);
    assert.equal(answer[1], WlResponse.Ok >> 8);
    const buffer = new Uint8Array(2000);
    const { length: got, fds } = receiveMessage(guest.host, buffer, 9);
    same(buffer.subarray(0, got), data);
    assert.equal(fds.length, 2);
    for (const fd of fds) fd[Symbol.dispose]();

    writeAll(guest.host, data);
    const into = guest.in.add(Array.from({ length: 50 }, () => length * 7), { indirect: true });
    guest.bench.listen();
    guest.bench.round();
    const [used] = guest.in.takeUsed();
    const delivered = into.addresses.flatMap((
      at,
    ) => [...guest.in.bytes.slice(at, at + length * 7)]);
    const message = parse(new Uint8Array(delivered.slice(0, used.written)));
    assert.deepEqual([message.type, message.id], [WlCommand.Receive, id]);
    same(message.data, data.subarray(0, message.data.length));
    const rest = data.length - message.data.length;
    if (rest === 0) continue;
    const more = guest.in.add([4096]);
    guest.bench.round();
    guest.in.takeUsed();
    const [at] = more.addresses;
    same(guest.in.bytes.subarray(at + 16, at + 16 + rest), data.subarray(-rest));
  }
});

Deno.test("what is kept over pauses has a limit, and one that is cut there is hung up", () => {
  using guest = new Guest();
  const full = guest.context();
  const other = guest.context();
  const results: (number | undefined)[] = [];
  while (results.length < 200 && results.at(-1) !== WlResponse.Error) {
    const slot = guest.command(send(full, new Uint8Array(500_000)));
    guest.pause();
    results.push(guest.late(slot));
    guest.resume();
  }
  assert.ok(results.slice(0, -1).every((result) => result === WlResponse.Ok));
  assert.equal(results.at(-1), WlResponse.Error);
  assert.ok(results.length > 130 && results.length < 140, `${results.length}`);
  assert.deepEqual(guest.messages().map(({ type, id }) => [type, id]), [[WlCommand.HangUp, full]]);
  assert.equal(guest.send(other, "goes on"), WlResponse.Ok);
  const slot = guest.command(send(other, new Uint8Array(500_000)));
  guest.pause();
  assert.equal(guest.late(slot), WlResponse.Ok, "there is room again");
});
