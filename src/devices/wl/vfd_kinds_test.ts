import assert from "node:assert/strict";
import {
  addSeals,
  Errno,
  EventFd,
  type Fd,
  fileStat,
  listenUnix,
  memfd,
  MessageFlags,
  openFile,
  type Owned,
  pipe,
  Poller,
  read,
  receiveMessage,
  Seal,
  seals,
  sendMessage,
  setNonBlocking,
  socketPair,
  SocketType,
  write,
  writeAll,
} from "../../os/mod.ts";
import { WL_FIRST_CREDIT, WlCommand, WlFeature, WlFlag, WlResponse } from "../../virtio/mod.ts";
import { ScratchFile } from "../testing.ts";
import { ALL_FEATURES, credit, Guest, type Message, newVfd, note, send } from "./testing.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);
const types = (messages: Message[]) => messages.map(({ type }) => type);
const memoryBytes = (size: number) => newVfd(WlCommand.New, 1000, { size });

function u64(value: bigint): Uint8Array {
  return new Uint8Array(new BigUint64Array([value]).buffer);
}

/** The descriptors that the host gets with a message. */
function taken(fd: Fd): Owned<Fd>[] {
  const { length, fds } = receiveMessage(fd, new Uint8Array(4096), 28, MessageFlags.DontWait);
  assert.ok(length > 0);
  return fds;
}

// ---- Memory

Deno.test("memory of the guest lies in the region, in whole pages, and is a sealed memfd", () => {
  using guest = new Guest();
  const context = guest.context();
  const { id, offset } = guest.memory(5000);
  const other = guest.memory(3 * MIB);
  assert.ok(offset > 0 && offset % (2 * MIB) === 0 && other.offset % (2 * MIB) === 0);
  assert.deepEqual(guest.mapper.mapped.get(offset), { length: 8192, writable: true, size: 8192 });
  assert.equal(guest.mapper.mapped.get(other.offset)?.length, 3 * MIB);
  guest.send(context, "x", [id]);
  const [memory] = taken(guest.host);
  using _memory = memory;
  assert.equal(fileStat(memory).size, 8192);
  assert.ok((seals(memory) & Seal.Shrink) !== 0);
  assert.equal(guest.close(id), WlResponse.Ok);
  assert.deepEqual([...guest.mapper.mapped.keys()], [other.offset]);
  // Its place is free again.
  assert.equal(guest.memory(MIB).offset, offset);
});

Deno.test("memory that there cannot be", () => {
  const refused = (options: ConstructorParameters<typeof Guest>[0], size: number) => {
    using guest = new Guest(options);
    return guest.result(memoryBytes(size));
  };
  assert.equal(refused({ unattached: true }, 4096), WlResponse.Error);
  assert.equal(
    refused({ features: ALL_FEATURES & ~WlFeature.UseShmem }, 4096),
    WlResponse.Error,
  );
  assert.equal(refused({}, 0), WlResponse.Error);
  assert.equal(refused({ memory: MIB }, MIB + 1), WlResponse.OutOfMemory);
  assert.equal(refused({ memory: MIB }, MIB), WlResponse.New);
  assert.equal(refused({ memory: 8 * GIB, regionSize: 4 * MIB }, 3 * MIB), WlResponse.OutOfMemory);
  using guest = new Guest();
  guest.mapper.refuses = true;
  assert.equal(guest.result(memoryBytes(4096)), WlResponse.OutOfMemory);
  guest.mapper.refuses = false;
  assert.equal(guest.result(memoryBytes(4096)), WlResponse.New);
});

Deno.test("memory that comes several times is shown once, until the last descriptor is closed", () => {
  for (const once of [false, true]) {
    using guest = new Guest({ features: once ? ALL_FEATURES | WlFeature.ShowOnce : ALL_FEATURES });
    guest.context();
    using memory = memfd("test", MIB, { seal: false });
    using other = memfd("test", MIB, { seal: false });
    for (const fd of [memory, memory, other]) sendMessage(guest.host, bytes("x"), [fd]);
    const news = guest.messages().filter(({ type }) => type === WlCommand.New);
    assert.equal(new Set(news.map(({ page }) => page)).size, once ? 2 : 3);
    const [first, second] = news;
    assert.equal(first.page === second.page, once);
    assert.equal(guest.close(first.id), WlResponse.Ok);
    assert.ok(guest.mapper.mapped.has(second.page * 4096));
    assert.equal(guest.close(second.id), WlResponse.Ok);
    assert.equal(guest.mapper.mapped.size, 1);
  }
});

Deno.test("sizes over 4 GiB need their feature", () => {
  const options = { memory: 8 * GIB, regionSize: 16 * GIB };
  for (const size64 of [false, true]) {
    const features = size64 ? ALL_FEATURES : ALL_FEATURES & ~WlFeature.Size64;
    using guest = new Guest({ ...options, features });
    // Without the feature the upper half is no size.
    const half = newVfd(WlCommand.New, 1, { size: 4096, sizeHigh: 1 });
    assert.equal(guest.result(half), WlResponse.New);
    const [{ length }] = guest.mapper.mapped.values();
    assert.equal(length, size64 ? 4 * GIB + 4096 : 4096);
    const whole = newVfd(WlCommand.New, 2, { size: 0xffff_ffff });
    assert.equal(guest.result(whole), WlResponse.OutOfMemory);
    assert.equal(guest.close(1), WlResponse.Ok);
    assert.equal(guest.result(whole), size64 ? WlResponse.New : WlResponse.OutOfMemory);

    guest.context();
    using memory = memfd("large", 6 * GIB, { seal: false });
    sendMessage(guest.host, bytes("x"), [memory]);
    const got = guest.messages();
    if (size64) {
      assert.deepEqual(types(got), [WlCommand.New, WlCommand.Receive]);
      assert.deepEqual([got[0].size, got[0].sizeHigh], [2 * GIB, 1]);
    } else {
      assert.deepEqual(types(got), [WlCommand.HangUp]);
    }
  }
});

Deno.test("memory of the host has its size in bytes, and is writable as the host lets it be", () => {
  using stack = new DisposableStack();
  const memory = (size: number) => stack.use(memfd("host", size, { seal: false }));
  const plain = memory(6000), sealed = memory(8192), future = memory(4096), whole = memory(4096);
  addSeals(sealed, Seal.Write | Seal.Shrink);
  addSeals(future, Seal.FutureWrite);
  addSeals(whole, Seal.Shrink | Seal.Seal);
  using guest = new Guest();
  guest.context();
  sendMessage(guest.host, bytes("x"), [plain, sealed, future, whole]);
  const got = guest.messages();
  assert.deepEqual(got.map(({ size }) => size).slice(0, 4), [6000, 8192, 4096, 4096]);
  const { Read, Write } = WlFlag;
  assert.deepEqual(got.map(({ flags }) => flags).slice(0, 4), [
    Read | Write,
    Read,
    Read,
    Read | Write,
  ]);
  const mappings = [...guest.mapper.mapped.values()];
  assert.deepEqual(mappings.map(({ writable }) => writable), [true, false, false, true]);
  assert.equal(mappings[0].length, 8192);
  assert.ok([plain, sealed, future, whole].every((fd) => (seals(fd) & Seal.Shrink) !== 0));
  for (const id of got[4].ids) assert.equal(guest.close(id), WlResponse.Ok);
  assert.equal(guest.mapper.mapped.size, 0);
});

Deno.test("what a guest cannot have hangs up the context that it came on, and leaves nothing", () => {
  using stack = new DisposableStack();
  using file = new ScratchFile(4096);
  const path = file.path.replace(/[^/]*$/, "socket");
  const unsealable = stack.use(memfd("x", 4096, { seal: false }));
  addSeals(unsealable, Seal.Seal);
  const [packets] = socketPair(SocketType.SeqPacket).map((fd) => stack.use(fd));
  const refused = {
    file: stack.use(openFile(file.path)),
    directory: stack.use(openFile("/", { directory: true })),
    device: stack.use(openFile("/dev/null")),
    epoll: stack.use(new Poller()).fd,
    unsealable,
    empty: stack.use(memfd("x", 0, { seal: false })),
    listening: stack.use(listenUnix(path)),
    packets,
  };
  for (const [what, fd] of Object.entries(refused)) {
    using guest = new Guest();
    const id = guest.context();
    const other = guest.context();
    const [from, to] = pipe();
    const memory = memfd("y", 4096, { seal: false });
    writeAll(guest.hosts[0], bytes("before"));
    sendMessage(guest.hosts[0], bytes("x"), [to, memory, fd]);
    to.close();
    memory.close();
    const got = guest.messages();
    assert.deepEqual(types(got), [WlCommand.Receive, WlCommand.HangUp], what);
    assert.equal(got[1].id, id);
    assert.equal(guest.mapper.mapped.size, 0);
    assert.equal(read(from, new Uint8Array(1)), 0, "the other descriptors are closed, too");
    from.close();
    assert.equal(guest.log.length, 1);
    assert.equal(guest.send(id, "x"), WlResponse.Error);
    const { length } = receiveMessage(guest.hosts[0], new Uint8Array(9), 0, MessageFlags.DontWait);
    assert.equal(length, 0, "the host hears of it");
    assert.equal(guest.send(other, "goes on"), WlResponse.Ok);
  }
});

Deno.test("more descriptors than a message can carry hang the context up", () => {
  using guest = new Guest();
  guest.context();
  const [from, to] = pipe();
  using _from = from;
  sendMessage(guest.host, bytes("x"), Array(29).fill(to));
  to.close();
  assert.deepEqual(types(guest.messages()), [WlCommand.HangUp]);
  assert.equal(read(from, new Uint8Array(1)), 0);
});

Deno.test("memory of the host without shared memory hangs the context up", () => {
  for (const options of [{ unattached: true }, { features: ALL_FEATURES & ~WlFeature.UseShmem }]) {
    using guest = new Guest(options);
    guest.context();
    using memory = memfd("x", 4096, { seal: false });
    sendMessage(guest.host, bytes("x"), [memory]);
    assert.deepEqual(types(guest.messages()), [WlCommand.HangUp]);
  }
});

// ---- Pipes

Deno.test("a pipe that the guest reads: the host writes, then the guest reads the end", () => {
  using guest = new Guest();
  const context = guest.context();
  const id = guest.pipe("read");
  assert.equal(guest.send(context, "take it", [id]), WlResponse.Ok);
  const [end] = taken(guest.host);
  writeAll(end, bytes("through the pipe"));
  assert.deepEqual(guest.messages().map(({ id, data }) => [id, text(data)]), [
    [id, "through the pipe"],
  ]);
  writeAll(end, bytes("last"));
  end.close();
  const got = guest.messages();
  assert.deepEqual(types(got), [WlCommand.Receive, WlCommand.HangUp]);
  assert.equal(guest.send(id, "x"), WlResponse.InvalidType);
});

Deno.test("a pipe that the guest writes: its end is the host's end of file", () => {
  using guest = new Guest();
  const context = guest.context();
  const id = guest.pipe("write");
  // Whoever is to read it may come later.
  assert.equal(guest.send(id, "early "), WlResponse.Ok);
  assert.equal(guest.send(context, "take it", [id]), WlResponse.Ok);
  assert.equal(guest.send(id, "late"), WlResponse.Ok);
  const [end] = taken(guest.host);
  using _end = end;
  assert.equal(guest.close(id), WlResponse.Ok);
  const buffer = new Uint8Array(100);
  assert.equal(text(buffer.subarray(0, read(end, buffer))), "early late");
  assert.equal(read(end, buffer), 0);
});

Deno.test("a pipe whose reader goes is hung up", () => {
  using guest = new Guest();
  const context = guest.context();
  const id = guest.pipe("write");
  guest.send(context, "take it", [id]);
  taken(guest.host)[0].close();
  assert.deepEqual(guest.messages().map(({ type, id }) => [type, id]), [[WlCommand.HangUp, id]]);
  assert.equal(guest.send(id, "x"), WlResponse.Error);
  assert.equal(guest.close(id), WlResponse.Ok);
});

Deno.test("the other end of a guest's pipe goes to the host once", () => {
  using guest = new Guest();
  const context = guest.context();
  const id = guest.pipe("read");
  assert.equal(guest.send(context, "x", [id, id]), WlResponse.InvalidId);
  assert.equal(guest.send(context, "x", [id, 999]), WlResponse.InvalidId);
  assert.equal(guest.send(context, "x", [id]), WlResponse.Ok);
  assert.equal(guest.send(context, "x", [id]), WlResponse.InvalidId);
  for (const fd of taken(guest.host)) fd[Symbol.dispose]();
});

Deno.test("a pipe that could not be sent can still be", () => {
  using guest = new Guest();
  const gone = guest.context();
  guest.host.close();
  const id = guest.pipe("read");
  assert.equal(guest.send(gone, "x", [id]), WlResponse.Error);
  const context = guest.context();
  assert.equal(guest.send(context, "x", [id]), WlResponse.Ok);
  const [end] = taken(guest.host);
  writeAll(end, bytes("hi"));
  end.close();
  const got = guest.messages().filter((message) => message.id === id);
  assert.deepEqual(types(got), [WlCommand.Receive, WlCommand.HangUp]);
});

Deno.test("pipes have one direction, and carry bytes alone", () => {
  using guest = new Guest();
  const make = (flags: number) => guest.result(newVfd(WlCommand.NewPipe, 50, { flags }));
  for (const flags of [0, 3, 4]) assert.equal(make(flags), WlResponse.InvalidFlags);
  const { id: memory } = guest.memory(4096);
  const id = guest.pipe("write");
  assert.equal(guest.send(id, "x", [memory]), WlResponse.InvalidType);
});

Deno.test("a full pipe holds what the guest writes, and blocks nobody, also when the host makes it blocking", () => {
  using guest = new Guest();
  guest.context();
  const [from, to] = pipe();
  using _from = from;
  sendMessage(guest.host, bytes("x"), [to]);
  const id = guest.messages()[1].ids[0];
  setNonBlocking(from, true);
  setNonBlocking(to, false);
  const slot = guest.command(send(id, new Uint8Array(300_000).fill(7)));
  setNonBlocking(to, false);
  to.close();
  assert.equal(guest.late(slot), undefined);
  let got = 0;
  const buffer = new Uint8Array(10_000);
  for (let i = 0; i < 1000 && got < 300_000; i++) {
    const count = read(from, buffer);
    if (count > 0) got += count;
    else assert.equal(count, -Errno.EAGAIN);
    guest.turn();
  }
  assert.equal(got, 300_000);
  assert.equal(guest.late(slot), WlResponse.Ok);
});

Deno.test("a pipe of the host that others read, too, blocks nobody", () => {
  using guest = new Guest();
  guest.context();
  const [from, to] = pipe();
  using _from = from, _to = to;
  sendMessage(guest.host, bytes("x"), [from]);
  guest.messages();
  setNonBlocking(from, false);
  writeAll(to, bytes("for one of us"));
  guest.bench.listen();
  read(from, new Uint8Array(100));
  assert.deepEqual(guest.messages(), []);
  writeAll(to, bytes("for the guest"));
  assert.equal(text(guest.messages()[0].data), "for the guest");
});

// ---- Events

Deno.test("an event of the guest's is an eventfd of the host", () => {
  using guest = new Guest();
  const context = guest.context();
  const id = guest.event();
  assert.equal(guest.send(id, u64(5n)), WlResponse.Ok);
  guest.send(context, "x", [id]);
  using event = EventFd.adopt(taken(guest.host)[0]);
  assert.equal(event.drain(), 5);
  assert.equal(guest.send(id, u64(2n ** 40n)), WlResponse.Ok);
  assert.equal(event.drain(), 2 ** 40);
  assert.equal(guest.close(id), WlResponse.Ok);
});

Deno.test("the counter of an event is the host's until the guest arms it", () => {
  using guest = new Guest();
  guest.context();
  using event = EventFd.create();
  sendMessage(guest.host, bytes("x"), [event.fd]);
  const [announced] = guest.messages();
  assert.equal(announced.flags, WlFlag.Read | WlFlag.Write | WlFlag.Event);
  const { id } = announced;
  event.signal();
  event.signal();
  assert.deepEqual(guest.messages(), []);
  assert.equal(guest.result(note(WlCommand.ArmEvent, id)), WlResponse.Ok);
  const counts = () => guest.messages().map((message) => [message.id, ...message.data]);
  assert.deepEqual(counts(), [[id, 2, 0, 0, 0, 0, 0, 0, 0]]);
  assert.equal(event.drain(), 0);
  event.signal();
  assert.deepEqual(counts(), [[id, 1, 0, 0, 0, 0, 0, 0, 0]]);
  assert.equal(guest.result(note(WlCommand.ArmEvent, id)), WlResponse.Ok, "again");
  event.signal();
  setNonBlocking(event.fd, false);
  assert.deepEqual(counts(), [[id, 1, 0, 0, 0, 0, 0, 0, 0]]);
  assert.equal(write(event.fd, u64(2n ** 64n - 2n)), 8);
  assert.deepEqual(counts(), [[id, 0xfe, 255, 255, 255, 255, 255, 255, 255]]);
});

Deno.test("a full counter is an error, and blocks nobody", () => {
  using guest = new Guest();
  const context = guest.context();
  const id = guest.event();
  guest.send(context, "x", [id]);
  using event = EventFd.adopt(taken(guest.host)[0]);
  assert.equal(guest.send(id, u64(2n ** 64n - 2n)), WlResponse.Ok);
  setNonBlocking(event.fd, false);
  assert.equal(guest.send(id, u64(1n)), WlResponse.Error);
  assert.equal(guest.send(id, u64(2n ** 64n - 1n)), WlResponse.Error);
  assert.equal(guest.send(id, u64(0n)), WlResponse.Ok);
  for (const data of ["", "1234567", "123456789"]) {
    assert.equal(guest.send(id, data), WlResponse.Error);
  }
  assert.equal(guest.send(id, u64(1n), [context]), WlResponse.InvalidType);
});

Deno.test("without their feature there are no events", () => {
  using guest = new Guest({ features: ALL_FEATURES & ~WlFeature.Events });
  assert.equal(guest.result(newVfd(WlCommand.NewEvent, 1)), WlResponse.InvalidCommand);
  const context = guest.context();
  assert.equal(guest.result(note(WlCommand.ArmEvent, context)), WlResponse.InvalidCommand);
  using event = EventFd.create();
  sendMessage(guest.host, bytes("x"), [event.fd]);
  assert.deepEqual(types(guest.messages()), [WlCommand.HangUp]);
});

Deno.test("only events are armed", () => {
  using guest = new Guest();
  const context = guest.context();
  assert.equal(guest.result(note(WlCommand.ArmEvent, context)), WlResponse.InvalidType);
  assert.equal(guest.result(note(WlCommand.ArmEvent, 999)), WlResponse.InvalidId);
});

// ---- Credit

/** Writes as much as goes in, and lets the guest take as much as comes. */
function flood(guest: Guest, host: Fd, most: number): Message[] {
  const got: Message[] = [];
  const block = new Uint8Array(10_000);
  setNonBlocking(host, true);
  for (let sent = 0, idle = 0; idle < 3;) {
    const count = sent < most ? write(host, block.subarray(0, Math.min(10_000, most - sent))) : 0;
    if (count > 0) sent += count;
    const now = guest.messages();
    got.push(...now);
    idle = count <= 0 && now.length === 0 ? idle + 1 : 0;
  }
  return got;
}

const sum = (messages: Message[]) => messages.reduce((total, { data }) => total + data.length, 0);

Deno.test("what nobody reads is limited, and stops nobody else", () => {
  using guest = new Guest();
  const id = guest.context();
  const [host] = guest.hosts;
  const other = guest.context();
  assert.equal(sum(flood(guest, host, 2 ** 20)), WL_FIRST_CREDIT);
  writeAll(guest.host, bytes("meanwhile"));
  assert.deepEqual(guest.messages().map(({ id, data }) => [id, text(data)]), [
    [other, "meanwhile"],
  ]);
  assert.equal(guest.result(credit(id, 1000)), WlResponse.Ok);
  assert.equal(sum(guest.messages()), 1000);
  assert.equal(guest.result(credit(id, 65536)), WlResponse.Ok);
  assert.equal(sum(flood(guest, host, 2 ** 20)), 65536);
});

Deno.test("an end is told, too, once there is credit to read up to it", () => {
  using guest = new Guest();
  const id = guest.context();
  flood(guest, guest.host, WL_FIRST_CREDIT);
  guest.host.close();
  assert.deepEqual(guest.messages(), []);
  assert.equal(guest.result(credit(id, 65536)), WlResponse.Ok);
  assert.deepEqual(types(guest.messages()), [WlCommand.HangUp]);
});

Deno.test("without the feature there is no credit, nor a limit", () => {
  using guest = new Guest({ features: ALL_FEATURES & ~WlFeature.Credit });
  const id = guest.context();
  assert.equal(sum(flood(guest, guest.host, 600_000)), 600_000);
  assert.equal(guest.result(credit(id, 1)), WlResponse.InvalidCommand);
});

Deno.test("credit is for what can be received on", () => {
  using guest = new Guest();
  assert.equal(guest.result(credit(guest.memory(4096).id, 1)), WlResponse.InvalidType);
  assert.equal(guest.result(credit(999, 1)), WlResponse.InvalidId);
  const id = guest.context();
  for (let i = 0; i < 10; i++) assert.equal(guest.result(credit(id, 0xffff_ffff)), WlResponse.Ok);
});

// ---- Limits

Deno.test("a guest has so many VFDs, contexts and so much memory", () => {
  using guest = new Guest({ vfds: 8, contexts: 2, memory: MIB });
  const contexts = [guest.context(), guest.context()];
  assert.equal(guest.result(newVfd(WlCommand.NewContext, 100)), WlResponse.OutOfMemory);
  assert.equal(guest.names.length, 2, "the host is not asked");
  const { id: memory } = guest.memory(MIB);
  assert.equal(guest.result(memoryBytes(4096)), WlResponse.OutOfMemory);
  for (let i = 0; i < 5; i++) guest.event();
  assert.equal(guest.result(newVfd(WlCommand.NewEvent, 100)), WlResponse.OutOfMemory);
  using event = EventFd.create();
  sendMessage(guest.host, bytes("x"), [event.fd]);
  assert.deepEqual(types(guest.messages()), [WlCommand.HangUp]);
  assert.equal(guest.close(memory), WlResponse.Ok);
  assert.equal(guest.result(memoryBytes(MIB)), WlResponse.New);
  assert.equal(guest.close(contexts[0]), WlResponse.Ok);
  guest.context();
});

Deno.test("what could not be made costs nothing", () => {
  using guest = new Guest({ vfds: 1, contexts: 1, memory: MIB, regionSize: 4 * MIB });
  for (let i = 0; i < 5; i++) {
    assert.equal(guest.result(newVfd(WlCommand.NewPipe, 1)), WlResponse.InvalidFlags);
    assert.equal(guest.result(newVfd(WlCommand.New, 1, { size: 2 * MIB })), WlResponse.OutOfMemory);
    guest.mapper.refuses = true;
    assert.equal(guest.result(newVfd(WlCommand.New, 1, { size: MIB })), WlResponse.OutOfMemory);
    guest.mapper.refuses = false;
  }
  assert.equal(guest.result(newVfd(WlCommand.New, 1, { size: MIB })), WlResponse.New);
});

Deno.test("what is on its way to a host that does not read counts until it has read", () => {
  using guest = new Guest({ vfds: 4, memory: MIB });
  const context = guest.context();
  const { id } = guest.memory(MIB);
  assert.equal(guest.send(context, "take it", [id]), WlResponse.Ok);
  assert.equal(guest.close(id), WlResponse.Ok);
  assert.equal(guest.result(memoryBytes(4096)), WlResponse.OutOfMemory);
  for (let i = 0; i < 2; i++) {
    const event = guest.event();
    assert.equal(guest.send(context, "x", [event]), WlResponse.Ok);
    assert.equal(guest.close(event), WlResponse.Ok);
  }
  assert.equal(guest.result(newVfd(WlCommand.NewEvent, 100)), WlResponse.OutOfMemory);
  for (let i = 0; i < 3; i++) for (const fd of taken(guest.host)) fd[Symbol.dispose]();
  assert.equal(guest.result(memoryBytes(MIB)), WlResponse.New);
  // The other way is that the conversation ends.
  const second = guest.pipe("write");
  assert.equal(guest.send(context, "x", [second]), WlResponse.Ok);
  assert.equal(guest.close(second), WlResponse.Ok);
  assert.equal(guest.close(context), WlResponse.Ok);
  for (let i = 0; i < 3; i++) guest.event();
});
