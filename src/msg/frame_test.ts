import assert from "node:assert/strict";
import {
  EventFd,
  type Fd,
  leakedDescriptors,
  openFile,
  type Owned,
  sendMessage,
  socketPair,
  trackDescriptors,
  writeAll,
} from "../os/mod.ts";
import { FRAME_MAGIC, FrameHeader } from "./frame.ts";
import { FrameReader } from "./frame_reader.ts";
import { FrameWriter } from "./frame_writer.ts";
import type { SentFd } from "./descriptor.ts";
import { PeerError, SendError, type SendRefusal, type Violation } from "./message_errors.ts";
import { byteTransport, unixTransport } from "./socket_transport.ts";
import type { Transport } from "./transport.ts";

interface Bench {
  readonly ours: Transport;
  readonly theirs: Owned<Fd>;
  readonly reader: FrameReader;
  readonly writer: FrameWriter;
}

/** A reader and a writer at one end, a bare socket at the other; nothing may be left open. */
function bench(
  test: (bench: Bench) => void,
  { limit = 2 ** 20, plain = false }: { limit?: number; plain?: boolean } = {},
): void {
  trackDescriptors();
  try {
    {
      const [a, theirs] = socketPair();
      using _theirs = theirs;
      using ours = plain ? byteTransport(a) : unixTransport(a);
      using reader = new FrameReader(ours, limit);
      using writer = new FrameWriter(ours, limit);
      test({ ours, theirs, reader, writer });
    }
    assert.deepEqual(leakedDescriptors(), []);
  } finally {
    trackDescriptors(false);
  }
}

const header = (length: number, descriptors = 0, magic = FRAME_MAGIC) =>
  FrameHeader.encode({ magic, length, descriptors });
const frame = (payload: number[], descriptors = 0) =>
  new Uint8Array([...header(payload.length, descriptors), ...payload]);

function refused(reason: SendRefusal, send: () => void): void {
  assert.throws(send, (error) => {
    assert(error instanceof SendError, String(error));
    assert.equal(error.reason, reason);
    return true;
  });
}

function broken(violation: Violation, reader: FrameReader): void {
  for (let i = 0; i < 2; i++) {
    assert.throws(() => reader.read(), (error) => {
      assert(error instanceof PeerError, String(error));
      assert.equal(error.violation, violation);
      return true;
    });
  }
}

function frameOf(reader: FrameReader): { payload: number[]; fds: number } {
  const got = reader.read();
  assert(typeof got !== "string", String(got));
  for (const fd of got.fds) fd[Symbol.dispose]();
  return { payload: [...got.payload], fds: got.fds.length };
}

Deno.test("frames come whole, byte by byte and several at once", () => {
  bench(({ theirs, reader }) => {
    assert.equal(reader.read(), "later");
    const bytes = [...frame([1, 2, 3]), ...frame([]), ...frame([4])];
    for (const [i, byte] of bytes.slice(0, -1).entries()) {
      writeAll(theirs, new Uint8Array([byte]));
      if (i < 10) assert.equal(reader.read(), "later");
    }
    assert.deepEqual(frameOf(reader), { payload: [1, 2, 3], fds: 0 });
    assert.deepEqual(frameOf(reader), { payload: [], fds: 0 });
    assert.equal(reader.read(), "later");
    assert.equal(reader.midFrame, true);
    writeAll(theirs, new Uint8Array([4]));
    assert.deepEqual(frameOf(reader), { payload: [4], fds: 0 });
    assert.equal(reader.midFrame, false);
    theirs.close();
    assert.equal(reader.read(), "closed");
  });
});

Deno.test("descriptors go to the frames that announce them, in order", () => {
  bench(({ theirs, reader }) => {
    using event = EventFd.create();
    const fds = [event.fd, event.fd];
    sendMessage(theirs, frame([1], 2), fds);
    sendMessage(theirs, frame([2]));
    sendMessage(theirs, frame([3], 1), [event.fd]);
    const counts = [1, 2, 3].map(() => frameOf(reader));
    assert.deepEqual(counts, [
      { payload: [1], fds: 2 },
      { payload: [2], fds: 0 },
      { payload: [3], fds: 1 },
    ]);
    // With a later byte of the frame than the first, as a relay may do.
    const late = frame([4, 5], 1);
    writeAll(theirs, late.subarray(0, 9));
    assert.equal(reader.read(), "later");
    sendMessage(theirs, late.subarray(9), [event.fd]);
    assert.deepEqual(frameOf(reader), { payload: [4, 5], fds: 1 });
  });
});

Deno.test("descriptors that nobody announced break the connection and are closed, wherever they come", () => {
  const cases: [string, Uint8Array, number][] = [
    ["with a frame without", frame([1]), 1],
    ["one too many", frame([1], 1), 2],
    ["with a part of a frame", frame([1, 2, 3], 1).subarray(0, 9), 2],
    ["with a part of a long frame", new Uint8Array([...header(200_000), 1, 2]), 1],
  ];
  for (const [name, bytes, count] of cases) {
    bench(({ theirs, reader }) => {
      using event = EventFd.create();
      sendMessage(theirs, bytes, Array<Fd>(count).fill(event.fd));
      try {
        broken("unannounced", reader);
      } catch (error) {
        throw new Error(name, { cause: error });
      }
    });
  }
});

Deno.test("too few descriptors break the connection, and those that came are closed", () => {
  bench(({ theirs, reader }) => {
    using event = EventFd.create();
    sendMessage(theirs, frame([1], 2), [event.fd]);
    broken("missing", reader);
  });
});

Deno.test("a length over the limit is refused before its bytes come; nonsense at once", () => {
  bench(({ theirs, reader }) => {
    writeAll(theirs, header(1001));
    broken("oversized", reader);
  }, { limit: 1000 });
  bench(({ theirs, reader }) => {
    writeAll(theirs, new TextEncoder().encode("GET / HTTP/1.1\r\n"));
    broken("frame", reader);
  });
});

Deno.test("a byte stream carries no descriptors in either direction", () => {
  bench(({ theirs, reader }) => {
    using event = EventFd.create();
    sendMessage(theirs, frame([1]), [event.fd]);
    broken("lost", reader);
  }, { plain: true });
  bench(({ theirs, reader }) => {
    writeAll(theirs, frame([1], 1));
    broken("unannounced", reader);
  }, { plain: true });
  bench(({ writer }) => {
    using event = EventFd.create();
    refused("too-many-descriptors", () => writer.send(new Uint8Array(1), [event.fd.borrow()]));
  }, { plain: true });
});

Deno.test("what cannot be sent is refused before a byte leaves, and the connection goes on", () => {
  bench(({ theirs, writer }) => {
    using peer = unixTransport(theirs);
    using reader = new FrameReader(peer, 1000);
    using file = openFile("/dev/null");
    const closed = openFile("/dev/null");
    const lent = closed.borrow();
    closed.close();
    const moved = openFile("/dev/null");
    using _elsewhere = moved.move();
    const foreign = { closed: false, raw: () => 0, move: () => {} } as unknown as SentFd;
    const bytes = new Uint8Array(1);
    for (const bad of [closed, lent, moved, foreign]) {
      refused("descriptor", () => writer.send(bytes, [file.borrow(), bad]));
    }
    const twice = openFile("/dev/null");
    refused("descriptor", () => writer.send(bytes, [twice, twice]));
    refused("too-large", () => writer.send(new Uint8Array(1001), []));
    const many = Array<SentFd>(254).fill(file.borrow());
    refused("too-many-descriptors", () => writer.send(bytes, many));
    assert.equal(reader.read(), "later");
    writer.send(bytes, many.slice(1));
    assert.deepEqual(frameOf(reader), { payload: [0], fds: 253 });
  }, { limit: 1000 });
});

Deno.test("sending takes what is given away, also when it fails, and leaves what is lent", () => {
  bench(({ writer }) => {
    using lent = openFile("/dev/null");
    const given = openFile("/dev/null");
    writer.send(new Uint8Array(1), [lent.borrow(), given]);
    assert.deepEqual([lent.closed, given.closed], [false, true]);
    const lost = openFile("/dev/null");
    refused("too-large", () => writer.send(new Uint8Array(2 ** 21), [lost]));
    assert.equal(lost.closed, true);
  });
});

Deno.test("a full stream: the rest waits with descriptors of its own, and comes in order", () => {
  bench(({ theirs, writer }) => {
    using peer = unixTransport(theirs);
    using reader = new FrameReader(peer, 2 ** 20);
    const count = 40;
    for (let i = 0; i < count; i++) {
      const given = openFile("/dev/null");
      using lent = openFile("/dev/null");
      writer.send(new Uint8Array(30_000).fill(i), [given, lent.borrow()]);
    }
    assert(writer.waitingBytes > 100_000);
    for (let i = 0; i < count;) {
      const got = reader.read();
      if (got === "later") {
        writer.flush();
        continue;
      }
      assert(typeof got !== "string");
      assert.equal(got.payload.length, 30_000);
      assert(got.payload.every((byte) => byte === i));
      assert.equal(got.fds.length, 2);
      for (const fd of got.fds) fd[Symbol.dispose]();
      i++;
    }
    assert.equal(writer.flush(), true);
    assert.equal(writer.waitingBytes, 0);
  });
});

Deno.test("a connection that ends with something to send leaves no half message to be taken", () => {
  bench(({ ours, theirs, writer }) => {
    using peer = unixTransport(theirs);
    using reader = new FrameReader(peer, 2 ** 20);
    writer.send(new Uint8Array(2 ** 20), [openFile("/dev/null")]);
    assert(writer.waitingBytes > 0);
    writer[Symbol.dispose]();
    ours[Symbol.dispose]();
    assert.equal(reader.read(), "closed");
    assert.equal(reader.midFrame, true);
  });
});
