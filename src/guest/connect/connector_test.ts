import assert from "node:assert/strict";
import process from "node:process";
import {
  connectUnix,
  Errno,
  EventFd,
  type Fd,
  leakedDescriptors,
  memfd,
  OsError,
  type Owned,
  pollOne,
  receiveMessage,
  seals,
  sendMessage,
  shutdownWrite,
  socketPair,
  trackDescriptors,
  write,
} from "../../os/mod.ts";
import type { Transport } from "../../msg/mod.ts";
import { Connector } from "./connector.ts";
import { LocalEnd } from "./local_end.ts";

/** A guest and its host; instead of contexts there are socket pairs, that only carry what is no memory of the guest. */
class Place implements AsyncDisposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "spectrum-connect-" });
  readonly path = `${this.folder}/socket`;
  readonly warnings: string[] = [];
  /** The host's ends, in order. */
  readonly host: Owned<Fd>[] = [];
  refuse: number | undefined;
  readonly connector = new Connector({
    name: "test",
    path: this.path,
    openContext: () => this.#open(),
    warn: (text) => this.warnings.push(text),
  });

  #open(): Transport {
    if (this.refuse !== undefined) throw new OsError("make", 'a context to "test"', this.refuse);
    const [guest, host] = socketPair();
    this.host.push(host);
    const transport = new LocalEnd(guest);
    return {
      kind: "a virtio-wl context",
      maxDescriptors: 28,
      fd: transport.fd,
      receive: (buffer) => transport.receive(buffer),
      send(bytes, fds) {
        if (fds.some((fd) => isGuestMemory(fd))) throw new OsError("send", "to the host", 22);
        return transport.send(bytes, fds);
      },
      [Symbol.dispose]: () => transport[Symbol.dispose](),
    };
  }

  /** A program's connection and the host's end of it. */
  async connect(): Promise<{ program: Owned<Fd>; host: Owned<Fd> }> {
    const before = this.host.length;
    const program = connectUnix(this.path);
    await until(() => this.host.length > before);
    return { program, host: this.host[before] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connector[Symbol.dispose]();
    for (const fd of this.host) fd[Symbol.dispose]();
    assert.deepEqual([...Deno.readDirSync(this.folder)], [], "the socket is removed");
    await Deno.remove(this.folder, { recursive: true });
  }
}

const isGuestMemory = (fd: Fd) => {
  try {
    return seals(fd) !== undefined;
  } catch {
    return false;
  }
};

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, "nothing happened for ten seconds");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const DONT_WAIT = 0x40;

/** What comes until the stream ends or so many bytes are there. */
async function take(fd: Fd, most = Infinity): Promise<{ bytes: Uint8Array; fds: Owned<Fd>[] }> {
  const bytes: number[] = [];
  const fds: Owned<Fd>[] = [];
  const buffer = new Uint8Array(65536);
  for (let done = false; !done && bytes.length < most;) {
    await until(() => {
      const room = buffer.subarray(0, Math.min(buffer.length, most - bytes.length));
      const came = receiveMessage(fd, room, 28, DONT_WAIT);
      if (came.length === -Errno.EAGAIN) return false;
      done = came.length <= 0;
      for (const byte of buffer.subarray(0, Math.max(came.length, 0))) bytes.push(byte);
      fds.push(...came.fds);
      return true;
    });
  }
  return { bytes: Uint8Array.from(bytes), fds };
}

/** Sends all, however slowly it is taken. */
async function give(fd: Fd, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) {
    await until(() => {
      const count = sendMessage(fd, bytes.subarray(sent), [], DONT_WAIT);
      sent += Math.max(count, 0);
      return count > 0;
    });
  }
}

const text = (words: string) => new TextEncoder().encode(words);
const said = ({ bytes }: { bytes: Uint8Array }) => new TextDecoder().decode(bytes);

async function here(body: (place: Place) => Promise<void>): Promise<void> {
  trackDescriptors();
  try {
    const place = new Place();
    try {
      await body(place);
    } finally {
      await place[Symbol.asyncDispose]();
    }
    // The reactor closes when its thread has woken.
    await until(() => leakedDescriptors().length === 0);
  } finally {
    trackDescriptors(false);
  }
}

Deno.test("bytes pass both ways, in more than one connection", () =>
  here(async (place) => {
    const one = await place.connect();
    using program = one.program;
    const two = await place.connect();
    using other = two.program;
    sendMessage(program, text("from one"));
    sendMessage(other, text("from two"));
    assert.equal(said(await take(one.host, 8)), "from one");
    assert.equal(said(await take(two.host, 8)), "from two");
    sendMessage(one.host, text("to one"));
    assert.equal(said(await take(program, 6)), "to one");
    assert.equal(place.connector.connections, 2);
    assert.deepEqual(place.warnings, []);
  }));

Deno.test("a megabyte each way at once arrives whole; who does not read holds back who writes", () =>
  here(async (place) => {
    const { program: connected, host } = await place.connect();
    using program = connected;
    const random = crypto.getRandomValues(new Uint8Array(65536));
    const data = new Uint8Array(2 ** 20).map((_, i) => random[i % random.length] ^ (i >> 16));
    const given = Promise.all([give(program, data), give(host, data)]);
    let held = true;
    void given.then(() => held = false);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(held, "nobody has read");
    const [up, down] = await Promise.all([take(host, data.length), take(program, data.length)]);
    await given;
    assert.deepEqual([up.bytes, down.bytes], [data, data]);
  }));

Deno.test("what a program wrote before it went arrives, then the end", () =>
  here(async (place) => {
    const { program, host } = await place.connect();
    sendMessage(program, text("last words"));
    program.close();
    assert.equal(said(await take(host)), "last words");
    await until(() => place.connector.connections === 0);
  }));

Deno.test("a program that ends its direction is still answered", () =>
  here(async (place) => {
    const { program: connected, host } = await place.connect();
    using program = connected;
    sendMessage(program, text("question"));
    shutdownWrite(program);
    assert.equal(said(await take(host, 8)), "question");
    sendMessage(host, text("answer"));
    host.close();
    assert.equal(said(await take(program)), "answer");
    await until(() => place.connector.connections === 0);
  }));

Deno.test("when the host hangs up, the program reads what came before, then the end", () =>
  here(async (place) => {
    const { program, host } = await place.connect();
    sendMessage(host, text("bye"));
    host.close();
    assert.equal(said(await take(program)), "bye");
    program.close();
    await until(() => place.connector.connections === 0);
  }));

Deno.test("descriptors come from the host as they are, at their byte", () =>
  here(async (place) => {
    const { program: connected, host } = await place.connect();
    using program = connected;
    using memory = memfd("shared", 4096);
    sendMessage(host, text("before"));
    sendMessage(host, text("with it"), [memory, memory]);
    assert.equal(said(await take(program, 6)), "before");
    const { fds } = await take(program, 7);
    assert.equal(fds.length, 2);
    for (const fd of fds) fd.close();
  }));

Deno.test("descriptors go to the host where it can have them; others end the connection, with a word", () =>
  here(async (place) => {
    const one = await place.connect();
    using program = one.program;
    using event = EventFd.create();
    sendMessage(program, text("x"), [event.fd]);
    const { fds } = await take(one.host, 1);
    assert.equal(write(fds[0], new Uint8Array(new BigUint64Array([3n]).buffer)), 8);
    assert.equal(event.drain(), 3);
    fds[0].close();
    using memory = memfd("guest", 4096);
    sendMessage(program, text("y"), [memory]);
    assert.equal((await take(program)).bytes.length, 0);
    assert.match(place.warnings[0], /closed: one of 1 descriptors cannot be sent over a virtio-wl/);

    const two = await place.connect();
    using many = two.program;
    sendMessage(many, text("z"), Array(29).fill(event.fd));
    assert.equal((await take(many)).bytes.length, 0);
    assert.match(place.warnings[1], /29 descriptors came at once; a virtio-wl context carries 28/);
    await until(() => place.connector.connections === 0);
  }));

Deno.test("a connection that the host refuses is closed, and why is said once", () =>
  here(async (place) => {
    const refused = async () => {
      using program = connectUnix(place.path);
      assert.equal((await take(program)).bytes.length, 0);
    };
    place.refuse = Errno.ENOENT;
    await refused();
    await refused();
    place.refuse = Errno.ENODEV;
    await refused();
    assert.equal(place.warnings.length, 2);
    assert.match(place.warnings[0], /^The host has no socket "test" for this VM: \[wl\.sockets\]/);
    assert.match(place.warnings[1], /^The host cannot connect "test" \(ENODEV\): is whoever/);
    place.refuse = undefined;
    (await place.connect()).program.close();
    place.refuse = Errno.ENODEV;
    await refused();
    assert.equal(place.warnings.length, 3);
  }));

Deno.test("nothing turns while nothing can move", () =>
  here(async (place) => {
    const { program: connected, host } = await place.connect();
    using program = connected;
    // The host does not read; the program has written what there is room for, and is gone.
    while (sendMessage(program, new Uint8Array(65536), [], DONT_WAIT) > 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    program.close();
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const after = process.cpuUsage(before);
    assert.ok((after.user + after.system) / 1000 < 100, "it is busy");
    assert.ok((await take(host)).bytes.length > 100_000);
    await until(() => place.connector.connections === 0);
    assert.equal(pollOne(host, 1, 0) & 0x10, 0x10);
  }));

Deno.test("a socket that was left there is replaced; one in use is not, nor another file", () =>
  here(async (place) => {
    const options = { name: "test", openContext: () => assert.fail(), warn: () => {} };
    assert.throws(() => new Connector({ ...options, path: place.path }), /is there already/);
    const path = `${place.folder}/left`;
    {
      const left = new Connector({ ...options, path });
      Deno.linkSync(path, `${path}-2`);
      left[Symbol.dispose]();
    }
    Deno.renameSync(`${path}-2`, path);
    new Connector({ ...options, path })[Symbol.dispose]();
    Deno.writeTextFileSync(path, "precious");
    assert.throws(() => new Connector({ ...options, path }), /is there already/);
    await Deno.remove(path);
  }));
