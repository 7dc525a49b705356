/**
 * The host's side of the tests of Virtio Wayland: serves a Unix socket, whose connections each begin with a line that says
 * what to do (`wl_guest.c`). Argument: the path of the socket.
 */

import assert from "node:assert/strict";
import {
  acceptUnix,
  addSeals,
  Errno,
  EventFd,
  Events,
  type Fd,
  listenUnix,
  memfd,
  type Owned,
  PAGE_SIZE,
  pipe,
  Reactor,
  read,
  receiveMessage,
  Seal,
  sendMessage,
  setNonBlocking,
  Window,
  write,
} from "../../../src/os/mod.ts";
import { RandomStream } from "./random_stream.ts";

const PIECE = 65536;
const reactor = new Reactor();
const window = Window.reserve();

/** Resolves when something of the events happened to a descriptor. */
function happened(fd: Fd, events: number): Promise<number> {
  return new Promise((resolve) => {
    const remove = reactor.add(fd, (what) => {
      remove();
      resolve(what);
    }, events);
  });
}

/** A connection, read and written without blocking anybody else. */
class Connection implements Disposable {
  readonly #fd: Owned<Fd>;
  readonly #buffer = new Uint8Array(PIECE);
  #rest = new Uint8Array(0);
  #fds: Owned<Fd>[] = [];

  constructor(fd: Owned<Fd>) {
    this.#fd = fd.move();
    setNonBlocking(this.#fd, true);
  }

  /** Whatever is there, at least a byte; undefined at the end. Descriptors wait for {@linkcode descriptor}. */
  async some(most = PIECE): Promise<Uint8Array | undefined> {
    while (this.#rest.length === 0) {
      const { length, fds } = receiveMessage(this.#fd, this.#buffer, 28);
      this.#fds.push(...fds);
      if (length === -Errno.EAGAIN) await happened(this.#fd, Events.In);
      else if (length <= 0) return undefined;
      else this.#rest = this.#buffer.subarray(0, length);
    }
    const bytes = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(bytes.length);
    return bytes;
  }

  /** Exactly so many bytes. */
  async bytes(size: number): Promise<Uint8Array> {
    const all = new Uint8Array(size);
    for (let done = 0; done < size;) {
      const piece = await this.some(size - done);
      if (piece === undefined) throw new Error(`the guest hung up ${size - done} bytes too early`);
      all.set(piece, done);
      done += piece.length;
    }
    return all;
  }

  async text(size: number): Promise<string> {
    return new TextDecoder().decode(await this.bytes(size));
  }

  async number(): Promise<number> {
    return new DataView((await this.bytes(4)).buffer).getUint32(0, true);
  }

  /** A line; what was sent of it when it does not end. */
  async line(): Promise<string> {
    let line = "";
    for (let letter; (letter = await this.some(1)) !== undefined && letter[0] !== 10;) {
      line += String.fromCharCode(letter[0]);
    }
    return line;
  }

  /** The next descriptor that came. */
  descriptor(): Owned<Fd> {
    const fd = this.#fds.shift();
    if (fd === undefined) throw new Error("no descriptor came");
    return fd;
  }

  async send(data: Uint8Array | string, fds: readonly Fd[] = []): Promise<void> {
    let bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    // A second descriptor: one that is read from meanwhile is waited for already.
    using fd = this.#fd.dup();
    while (bytes.length > 0) {
      const sent = sendMessage(fd, bytes, fds);
      if (sent === -Errno.EAGAIN) await happened(fd, Events.Out);
      else if (sent < 0) throw new Error(`the guest does not listen: ${sent}`);
      else {
        bytes = bytes.subarray(sent);
        fds = [];
      }
    }
  }

  async sendStream(total: number, word: number): Promise<void> {
    const stream = new RandomStream(word), data = new Uint8Array(PIECE);
    for (let rest = total; rest > 0;) {
      const size = Math.min(rest, 1 + Math.floor(Math.random() * PIECE));
      stream.fill(data.subarray(0, size));
      await this.send(data.subarray(0, size));
      rest -= size;
    }
  }

  async checkStream(total: number, word: number): Promise<void> {
    const stream = new RandomStream(word);
    for (let rest = total; rest > 0;) {
      const piece = await this.some(rest);
      if (piece === undefined) throw new Error(`the stream ends ${rest} bytes too early`);
      assert.ok(stream.matches(piece), `the stream is wrong within ${rest} bytes before its end`);
      rest -= piece.length;
    }
  }

  async end(): Promise<void> {
    while (await this.some() !== undefined);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds) fd[Symbol.dispose]();
    this.#fd[Symbol.dispose]();
  }
}

/** Gives a part of some memory to a function. */
function withMapped<T>(fd: Fd, at: number, size: number, use: (bytes: Uint8Array) => T): T {
  const offset = window.allocate(size);
  try {
    window.mapFd(offset, size, fd, at);
    return use(window.bytes(offset, size));
  } finally {
    window.free(offset, size);
  }
}

/** Everything that comes out of a pipe. */
async function drain(fd: Fd, onPiece: (piece: Uint8Array) => void): Promise<void> {
  const buffer = new Uint8Array(4096);
  for (;;) {
    await happened(fd, Events.In);
    const count = read(fd, buffer);
    if (count <= 0) return assert.equal(count, 0);
    onPiece(buffer.subarray(0, count));
  }
}

async function drainText(fd: Fd): Promise<string> {
  let text = "";
  await drain(fd, (piece) => text += new TextDecoder().decode(piece));
  return text;
}

/** Adds to a counter. */
function add(event: EventFd, count: number): void {
  assert.equal(write(event.fd, new Uint8Array(BigUint64Array.of(BigInt(count)).buffer)), 8);
}

let closedCount: () => void = () => {};
const counted = new Promise<void>((resolve) => closedCount = resolve);
let startListening: (bytes: number) => void = () => {};

type Serve = (peer: Connection, argument: number) => Promise<void>;

const commands: Record<string, Serve> = {
  async stream(peer, total) {
    await Promise.all([peer.checkStream(total, 99), peer.sendStream(total, 77)]);
    await peer.send("k");
  },

  async memory(peer, count) {
    for (let i = 0; i < count; i++) {
      const size = await peer.number();
      {
        using fd = peer.descriptor();
        withMapped(fd, 0, size, (bytes) => {
          assert.ok(new RandomStream(i).matches(bytes), "memory of the guest");
          bytes[0] = bytes[size - 1] = "h".charCodeAt(0);
        });
      }
      await peer.send("m");
      const other = 1 + Math.floor(Math.random() * (i % 64 === 1 ? 5_000_000 : 20_000));
      using fd = memfd("test", other);
      withMapped(fd, 0, other, (bytes) => new RandomStream(i ^ 0x55aa).fill(bytes));
      await peer.send(new Uint8Array(Uint32Array.of(other).buffer), [fd]);
      assert.equal(await peer.text(1), "m");
      withMapped(fd, 0, other, (bytes) => {
        assert.deepEqual([bytes[0], bytes[other - 1]], [103, 103], "the guest's answer");
      });
      await peer.send("n");
    }
  },

  async pipes(peer) {
    for (let letter; (letter = await peer.some(1)) !== undefined;) {
      await onePipe(peer, String.fromCharCode(letter[0]));
    }
  },

  async events(peer, count) {
    assert.equal(await peer.text(1), "e");
    using ours = EventFd.adopt(peer.descriptor()), theirs = EventFd.create();
    await peer.send("e", [theirs.fd]);
    for (let i = 1; i <= count; i++) {
      await happened(theirs.fd, Events.In);
      add(ours, theirs.drain() + 1);
    }
    assert.equal(await peer.text(1), "a");
    assert.equal(theirs.drain(), 7);
    add(theirs, 5);
    add(theirs, 6);
    await peer.send("a");
    await peer.end();
  },

  /** Answers each ring of one event by a ring of the other. */
  async bells(peer) {
    assert.equal(await peer.text(1), "e");
    using ours = EventFd.adopt(peer.descriptor()), theirs = EventFd.create();
    await peer.send("e", [theirs.fd]);
    const end = peer.end().then(() => "end");
    while (await Promise.race([happened(theirs.fd, Events.In), end]) !== "end") {
      theirs.drain();
      ours.signal();
    }
  },

  /** Rings every event that comes. */
  async ring(peer) {
    while (await peer.some(1) !== undefined) {
      using event = EventFd.adopt(peer.descriptor());
      event.signal();
    }
  },

  async big(peer, size) {
    using fd = memfd("big", size);
    const places = [0, size / 2, 2 ** 32 + 8192, size - PAGE_SIZE];
    for (const [i, at] of places.entries()) {
      withMapped(fd, at, PAGE_SIZE, (bytes) => new RandomStream(100 + i).fill(bytes));
    }
    await peer.send("m", [fd]);
    assert.equal(await peer.text(1), "b");
    for (const [i, at] of places.entries()) {
      withMapped(fd, at, PAGE_SIZE, (bytes) => {
        assert.ok(new RandomStream(200 + i).matches(bytes), `the guest's pattern at ${at}`);
      });
    }
    await peer.send("b");
    await peer.send("c");
  },

  async readonly(peer) {
    using fd = memfd("read-only", PAGE_SIZE, { seal: false });
    withMapped(fd, 0, PAGE_SIZE, (bytes) => bytes.set(new TextEncoder().encode("only to be read")));
    addSeals(fd, Seal.Shrink | Seal.Grow | Seal.FutureWrite);
    await peer.send("r", [fd]);
    await peer.end();
  },

  async keep(peer) {
    assert.equal(await peer.text(1), "k");
    using fd = peer.descriptor();
    const word = await peer.number();
    withMapped(fd, 0, 2 ** 20, (bytes) => {
      assert.ok(new RandomStream(word).matches(bytes), "what the disk wrote");
    });
    await peer.send("k");
    await peer.end();
  },

  async give(peer, size) {
    using fd = memfd("test", size);
    withMapped(fd, 0, size, (bytes) => new RandomStream(300).fill(bytes));
    await peer.send("g", [fd]);
    const word = await peer.number();
    withMapped(fd, 0, size, (bytes) => {
      assert.ok(
        new RandomStream(word).matches(bytes),
        "what the disk wrote into the host's memory",
      );
    });
    await peer.send("k");
    await peer.end();
  },

  async again(peer, size) {
    using fd = memfd("test", size);
    for (let i = 0; i < 2; i++) await peer.send("a", [fd]);
    for (let i = 0; i < 2; i++) {
      const word = await peer.number();
      withMapped(fd, 0, size, (bytes) => {
        assert.ok(new RandomStream(word).matches(bytes), "what the disk wrote");
      });
      await peer.send("k");
    }
    await peer.end();
  },

  async echo(peer) {
    for (let piece; (piece = await peer.some()) !== undefined;) await peer.send(piece.slice());
  },

  async flood(peer, total) {
    await peer.sendStream(total, 77);
  },

  async deaf(peer) {
    const total = await new Promise<number>((resolve) => startListening = resolve);
    await peer.checkStream(total, 99);
    await peer.send("d");
    await peer.end();
  },

  async listen(peer, bytes) {
    startListening(bytes);
    await peer.end();
  },

  async bye(peer) {
    await peer.send("bye");
  },

  async count(peer) {
    await peer.end();
    closedCount();
  },

  async closed(peer) {
    await counted;
    await peer.send("c");
    await peer.end();
  },
};

async function onePipe(peer: Connection, letter: string): Promise<void> {
  switch (letter) {
    case "w": {
      using fd = peer.descriptor();
      write(fd, new TextEncoder().encode("from the host"));
      return;
    }
    case "r": {
      using fd = peer.descriptor();
      return await peer.send(await drainText(fd));
    }
    case "c":
      return peer.descriptor()[Symbol.dispose]();
    case "b": {
      using fd = peer.descriptor();
      await happened(fd, 0);
      assert.equal(write(fd, new Uint8Array(1)), -Errno.EPIPE);
      return await peer.send("b");
    }
    case "h": {
      const [from, to] = pipe();
      using _from = from;
      using _to = to;
      write(to, new TextEncoder().encode("through a pipe of the host"));
      return await peer.send("p", [from]);
    }
    case "g": {
      const [from, to] = pipe();
      using _from = from;
      {
        using _to = to;
        await peer.send("p", [to]);
      }
      return await peer.send(await drainText(from));
    }
    case "s": {
      using fd = peer.descriptor();
      const bytes = new Uint8Array(300_000);
      let size = 0;
      await new Promise((resolve) => setTimeout(resolve, 500));
      await drain(fd, (piece) => {
        bytes.set(piece, size);
        size += piece.length;
      });
      for (let i = 0; i < 300; i++) {
        assert.ok(new RandomStream(i).matches(bytes.subarray(1000 * i, 1000 * (i + 1))));
      }
      return await peer.send("s");
    }
    default:
      throw new Error(`what is ${letter}?`);
  }
}

async function serve(fd: Owned<Fd>): Promise<void> {
  using peer = new Connection(fd);
  let line = "";
  try {
    line = await peer.line();
    const [command, argument] = line.split(" ");
    // A context that was only opened.
    if (command === "" || command === "x") return;
    await commands[command](peer, Number(argument));
  } catch (error) {
    console.error(`host: ${line}: ${error instanceof Error ? error.stack : error}`);
  }
}

const listening = listenUnix(Deno.args[0]);
console.error("host: ready");
for (;;) {
  await happened(listening, Events.In);
  const connection = acceptUnix(listening);
  if (connection !== undefined) void serve(connection);
}
