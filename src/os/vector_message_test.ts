import assert from "node:assert/strict";
import {
  Errno,
  type Fd,
  IoVector,
  isRead,
  type Owned,
  pipe,
  read,
  readvNow,
  receiveMessage,
  receiveVector,
  sendMessage,
  sendVector,
  setNonBlocking,
  socketPair,
  Window,
  write,
  writeAll,
  writevNow,
} from "./mod.ts";

const window = Window.reserve(2 ** 30);
const AT = window.allocate(2 ** 20);
window.mapAnonymous(AT, 2 ** 20);

const text = (s: string) => new TextEncoder().encode(s);
const openNumbers = () => [...Deno.readDirSync("/proc/self/fd")].length;

/** A vector over pieces of these lengths, 100 bytes apart. */
function pieces(...lengths: number[]): IoVector {
  const vector = new IoVector(window, 8);
  let at = AT;
  for (const length of lengths) {
    vector.push(at, length);
    at += length + 100;
  }
  return vector;
}

function contents(vector: IoVector, length: number): string {
  let got = "";
  for (let i = 0; i < vector.count && got.length < length; i++) {
    const part = Math.min(vector.lengthAt(i), length - got.length);
    got += new TextDecoder().decode(window.bytes(vector.offsetAt(i), part));
  }
  return got;
}

function fill(vector: IoVector, value: string): void {
  let at = 0;
  for (let i = 0; i < vector.count; i++) {
    const part = text(value).subarray(at, at + vector.lengthAt(i));
    window.bytes(vector.offsetAt(i), part.length).set(part);
    at += part.length;
  }
}

Deno.test("pieces of the window go out as one message, with descriptors", () => {
  const [a, b] = socketPair();
  const [from, to] = pipe();
  using stack = new DisposableStack();
  for (const fd of [a, b, from, to]) stack.use(fd);
  using vector = pieces(3, 5);
  fill(vector, "abcdefgh");
  assert.ok(isRead(a));
  assert.equal(sendVector(a, vector, [from]), 8);
  assert.ok(!isRead(a));
  const buffer = new Uint8Array(16);
  const { length, fds } = receiveMessage(b, buffer, 4);
  assert.equal(new TextDecoder().decode(buffer.subarray(0, length)), "abcdefgh");
  assert.equal(fds.length, 1);
  fds[0][Symbol.dispose]();
  assert.ok(isRead(a));
  b.close();
  assert.equal(sendVector(a, vector, []), -Errno.EPIPE);
});

Deno.test("a socket that is full does not block", () => {
  const [a, b] = socketPair();
  using _a = a, _b = b;
  using vector = pieces(300_000);
  let result = 1;
  while (result > 0) result = sendVector(a, vector, []);
  assert.equal(result, -Errno.EAGAIN);
});

Deno.test("descriptors arrive with the first byte of their message, whatever lies before", () => {
  const [a, b] = socketPair();
  const [from, to] = pipe();
  using stack = new DisposableStack();
  for (const fd of [a, b, from, to]) stack.use(fd);
  const before = openNumbers();
  for (const lengths of [[1000], [3, 2, 900], [2, 3, 4]]) {
    using vector = pieces(...lengths);
    const fds: Owned<Fd>[] = [];
    writeAll(a, text("one"));
    writeAll(a, text("two"));
    sendMessage(a, text("three"), [from, to]);
    writeAll(a, text("four"));
    const got: [string, number][] = [];
    for (;;) {
      const count = receiveVector(b, vector, fds, 28);
      if (count === -Errno.EAGAIN) break;
      assert.ok(count > 0);
      got.push([contents(vector, count), fds.length]);
      for (const fd of fds.splice(0)) fd[Symbol.dispose]();
    }
    assert.equal(got.map(([text]) => text).join(""), "onetwothreefour");
    const first = got.findIndex(([, count]) => count > 0);
    assert.equal(got[first][1], 2);
    assert.equal(got.slice(0, first).map(([text]) => text).join(""), "onetwo");
    assert.equal(got.filter(([, count]) => count > 0).length, 1);
  }
  assert.equal(openNumbers(), before);
});

Deno.test("descriptors that are too many are lost, and told", () => {
  const [a, b] = socketPair();
  const [from, to] = pipe();
  using stack = new DisposableStack();
  for (const fd of [a, b, from, to]) stack.use(fd);
  using vector = pieces(10);
  sendMessage(a, text("x"), [from, to, from]);
  const fds: Owned<Fd>[] = [];
  assert.equal(receiveVector(b, vector, fds, 2), -Errno.EMSGSIZE);
  assert.equal(fds.length, 2);
  for (const fd of fds) fd[Symbol.dispose]();
  a.close();
  assert.equal(receiveVector(b, vector, fds, 2), 0);
});

Deno.test("a vector that leaves the window is refused", () => {
  const [a, b] = socketPair();
  using _a = a, _b = b;
  using vector = new IoVector(window, 1);
  vector.push(window.size - 10, 11);
  writeAll(b, text("x"));
  assert.equal(sendVector(a, vector, []), -Errno.EFAULT);
  assert.equal(receiveVector(a, vector, [], 1), -Errno.EFAULT);
  assert.equal(readvNow(a, vector), -Errno.EFAULT);
  assert.equal(writevNow(a, vector), -Errno.EFAULT);
});

Deno.test("nothing waits, though the descriptors are made blocking", () => {
  const [from, to] = pipe();
  using _from = from;
  using vector = pieces(10, 90);
  for (const fd of [from, to]) setNonBlocking(fd, false);
  assert.equal(readvNow(from, vector), -Errno.EAGAIN);
  fill(vector, "x".repeat(100));
  assert.equal(writevNow(to, vector), 100);
  for (const fd of [from, to]) setNonBlocking(fd, false);
  assert.equal(readvNow(from, vector), 100);
  let total = 0, count = 100;
  while (count > 0) {
    count = writevNow(to, vector);
    total += Math.max(count, 0);
  }
  assert.equal(count, -Errno.EAGAIN);
  assert.ok(total >= 60_000);
  to.close();
  const buffer = new Uint8Array(4096);
  for (let n = 1; n > 0;) total -= n = read(from, buffer);
  assert.equal(total, 0);
  assert.equal(readvNow(from, vector), 0);
  const [, lonely] = pipe().map((fd, i) => i === 0 ? (fd.close(), fd) : fd);
  using _lonely = lonely;
  assert.equal(writevNow(lonely, vector), -Errno.EPIPE);
  assert.equal(write(lonely, text("x")), -Errno.EPIPE);
});
