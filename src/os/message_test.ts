import assert from "node:assert/strict";
import {
  acceptUnix,
  type Borrowed,
  closeOwned,
  connectUnix,
  Errno,
  EventFd,
  type Fd,
  listenUnix,
  memfd,
  MessageFlags,
  type Owned,
  receiveMessage,
  receivePiece,
  sendMessage,
  setNonBlocking,
  shutdownWrite,
  socketPair,
  SocketType,
} from "./mod.ts";

const openNumbers = () => [...Deno.readDirSync("/proc/self/fd")].length;
const text = (s: string) => new TextEncoder().encode(s);
const release = (fds: readonly (Owned<Fd> | Borrowed<Fd>)[]) => fds.forEach(closeOwned);

Deno.test("bytes and descriptors arrive; what arrives is the same open file", () => {
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  using event = EventFd.create();
  using memory = memfd("x", 4096);
  assert.equal(sendMessage(a, text("hello"), [event.fd, memory]), 5);
  const buffer = new Uint8Array(16);
  const { length, fds, truncated } = receiveMessage(b, buffer, 4);
  assert.equal(new TextDecoder().decode(buffer.subarray(0, length)), "hello");
  assert.equal(truncated, false);
  assert.equal(fds.length, 2);
  using arrived = EventFd.adopt(fds[0]);
  arrived.signal();
  assert.equal(event.drain(), 1);
  const flags = Deno.readTextFileSync(`/proc/self/fdinfo/${fds[1].raw()}`);
  assert.match(flags, /flags:\s*0?2\d{6}/, "closed on exec");
  release(fds);
});

Deno.test("more descriptors than expected are closed, and said", () => {
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  const events = Array.from({ length: 20 }, () => EventFd.create());
  const before = openNumbers();
  sendMessage(a, text("x"), events.map((event) => event.fd));
  const { fds, truncated } = receiveMessage(b, new Uint8Array(1), 3);
  assert.equal(fds.length, 3);
  assert.equal(truncated, true);
  assert.equal(openNumbers(), before + 3);
  release(fds);
  sendMessage(a, text("x"), events.map((event) => event.fd));
  assert.deepEqual(receiveMessage(b, new Uint8Array(1), 0), {
    length: 1,
    fds: [],
    truncated: true,
  });
  assert.equal(openNumbers(), before);
  release(events.map((event) => event.fd));
});

Deno.test("the most descriptors that Linux allows", () => {
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  using event = EventFd.create();
  const many = Array.from({ length: 253 }, () => event.fd);
  sendMessage(a, text("x"), many);
  const { fds, truncated } = receiveMessage(b, new Uint8Array(1), 1000);
  assert.equal(fds.length, 253);
  assert.equal(truncated, false);
  release(fds);
  assert.throws(() => sendMessage(a, text("x"), [...many, event.fd]), RangeError);
});

Deno.test("nothing there, closed and broken off are results", () => {
  const [a, b] = socketPair();
  using _b = b;
  const buffer = new Uint8Array(8);
  assert.equal(receiveMessage(b, buffer, 0, MessageFlags.DontWait).length, -Errno.EAGAIN);
  setNonBlocking(b, true);
  assert.equal(receiveMessage(b, buffer, 0).length, -Errno.EAGAIN);
  sendMessage(b, text("unread"));
  a[Symbol.dispose]();
  assert.equal(receiveMessage(b, buffer, 0).length, -Errno.ECONNRESET);
  assert.equal(receiveMessage(b, buffer, 0).length, 0);
  assert.equal(sendMessage(b, text("x")), -Errno.EPIPE);
});

Deno.test("a full socket says so", () => {
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  setNonBlocking(a, true);
  const block = new Uint8Array(65536);
  let result = 0;
  do result = sendMessage(a, block); while (result > 0);
  assert.equal(result, -Errno.EAGAIN);
});

Deno.test("sending a closed descriptor fails before a byte leaves", () => {
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  const event = EventFd.create();
  event[Symbol.dispose]();
  assert.throws(() => sendMessage(a, text("x"), [event.fd]), { code: "EBADF" });
  assert.equal(
    receiveMessage(b, new Uint8Array(1), 0, MessageFlags.DontWait).length,
    -Errno.EAGAIN,
  );
});

Deno.test("packets keep their borders; one that is too long is said", () => {
  const [a, b] = socketPair(SocketType.SeqPacket);
  using _a = a;
  using _b = b;
  sendMessage(a, text("first"));
  sendMessage(a, text("second"));
  const buffer = new Uint8Array(5);
  assert.deepEqual(receiveMessage(b, buffer, 0), { length: 5, fds: [], truncated: false });
  assert.deepEqual(receiveMessage(b, buffer, 0), { length: 5, fds: [], truncated: true });
});

Deno.test("listening, connecting, accepting by path", () => {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/s.sock`;
    assert.throws(() => connectUnix(path), { code: "ENOENT" });
    using server = listenUnix(path);
    setNonBlocking(server, true);
    assert.equal(acceptUnix(server), undefined);
    using client = connectUnix(path);
    using accepted = acceptUnix(server);
    assert.ok(accepted);
    sendMessage(client, text("hi"));
    assert.equal(receiveMessage(accepted, new Uint8Array(9), 0).length, 2);
    assert.throws(() => listenUnix(path), { code: "EADDRINUSE" });
    assert.throws(() => listenUnix(`${folder}/${"x".repeat(120)}`), { code: "ENAMETOOLONG" });
    assert.throws(() => connectUnix("/a\0b"), TypeError);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("a piece ends where descriptors begin, however much was sent before them", () => {
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  using event = EventFd.create();
  const before = openNumbers();
  const buffer = new Uint8Array(4096);
  const pieces = () => {
    const seen: [number, number][] = [];
    for (;;) {
      const { length, fds } = receivePiece(b, buffer, 4, MessageFlags.DontWait);
      if (length === -Errno.EAGAIN) return seen;
      seen.push([length, fds.length]);
      release(fds);
    }
  };
  const send = (length: number, count: number) =>
    sendMessage(a, new Uint8Array(length), Array(count).fill(event.fd));
  for (const length of [1, 2, 3, 1000]) {
    send(length, 0);
    send(7, 2);
    send(5, 0);
    assert.deepEqual(pieces(), [[length, 0], [7, 2], [5, 0]]);
  }
  send(1, 1);
  send(4000, 3);
  send(5000, 0);
  assert.deepEqual(pieces(), [[1, 1], [4000, 3], [4096, 0], [904, 0]]);
  assert.equal(openNumbers(), before, "what was only looked at is closed");
});

Deno.test("a stream that was ended in one direction goes on in the other", () => {
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  sendMessage(a, text("last"));
  shutdownWrite(a);
  const buffer = new Uint8Array(16);
  assert.equal(receiveMessage(b, buffer, 0).length, 4);
  assert.equal(receiveMessage(b, buffer, 0).length, 0);
  assert.equal(sendMessage(b, text("answer")), 6);
  assert.equal(receiveMessage(a, buffer, 0).length, 6);
});

Deno.test("whatever is sent and however it is received: each descriptor comes at its byte", () => {
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  using event = EventFd.create();
  const random = (most: number) => Math.floor(Math.random() * most);
  const buffer = new Uint8Array(100_000);
  const sent: string[] = [];
  const came: string[] = [];
  let sentBytes = 0;
  let cameBytes = 0;
  const receive = () => {
    const room = buffer.subarray(0, 1 + random(2 ** random(17)));
    const { length, fds } = receivePiece(b, room, 4, MessageFlags.DontWait);
    if (fds.length > 0) came.push(`${fds.length} at ${cameBytes}`);
    release(fds);
    cameBytes += Math.max(length, 0);
    return length > 0;
  };
  for (let i = 0; i < 2000; i++) {
    const count = random(3);
    const fds = Array(count).fill(event.fd);
    const bytes = buffer.subarray(0, 1 + random(2 ** random(17)));
    const length = sendMessage(a, bytes, fds, MessageFlags.DontWait);
    if (length > 0) {
      if (count > 0) sent.push(`${count} at ${sentBytes}`);
      sentBytes += length;
    }
    while (random(3) > 0 && receive());
  }
  while (receive());
  assert.deepEqual([came, cameBytes], [sent, sentBytes]);
});
