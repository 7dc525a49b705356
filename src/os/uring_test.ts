import assert from "node:assert/strict";
import { Errno, type Fd, IoVector, openFile, Poller, pwrite, Uring, Window } from "./mod.ts";

const window = Window.reserve(2 ** 36);
const memory = window.allocate(1 << 20);
window.mapAnonymous(memory, 1 << 20);
const path = Deno.makeTempFileSync();
Deno.writeFileSync(path, new Uint8Array(4096));
globalThis.addEventListener("unload", () => Deno.removeSync(path));

/** A ring over the test's file; undefined, with a word, where the host has none. */
function ring(file: Fd, entries?: number): Uring | undefined {
  const made = Uring.tryCreate(window, file, entries);
  if (made instanceof Uring) return made;
  console.log(made.reason);
  return undefined;
}

/** libc itself, for what hostile native code could try. */
function openLibc() {
  const library = Deno.dlopen("libc.so.6", {
    mmap: { parameters: ["pointer", "i64", "i32", "i32", "i32", "i64"], result: "pointer" },
    munmap: { parameters: ["pointer", "i64"], result: "i32" },
    syscall: { parameters: ["i64", "i64", "i64", "i64", "i64"], result: "i64" },
  });
  return { symbols: library.symbols, [Symbol.dispose]: () => library.close() };
}

function completions(uring: Uring): [userData: number, result: number][] {
  const list: [number, number][] = [];
  while (uring.next()) list.push([uring.userData, uring.result]);
  return list.sort((a, b) => a[0] - b[0]);
}

Deno.test("reads and writes in one batch", () => {
  using file = openFile(path, { write: true, truncate: true });
  using uring = ring(file);
  if (uring === undefined) return;
  window.bytes(memory, 4096).fill(1);
  window.bytes(memory + 4096, 4096).fill(2);
  assert.equal(uring.write(memory, 4096, 0, 10), 0);
  assert.equal(uring.write(memory + 4096, 4096, 5e9, 2 ** 40 + 1), 0);
  assert.equal(uring.pending, 2);
  assert.equal(uring.hasCompletions, false);
  assert.equal(uring.submit(2), 2);
  assert.equal(uring.pending, 0);
  assert.equal(uring.hasCompletions, true);
  assert.deepEqual(completions(uring), [[10, 4096], [2 ** 40 + 1, 4096]]);
  assert.equal(uring.hasCompletions, false);
  uring.sync(5);
  uring.read(memory + 8192, 4096, 5e9, 6);
  uring.submit(2);
  assert.deepEqual(completions(uring), [[5, 0], [6, 4096]]);
  assert.equal(window.view.getUint8(memory + 8192 + 4095), 2);
});

Deno.test("vectors, reused at once", () => {
  using file = openFile(path, { write: true, truncate: true });
  using uring = ring(file);
  if (uring === undefined) return;
  using vector = new IoVector(window, 2);
  for (let i = 0; i < 8; i++) {
    window.bytes(memory + i * 512, 512).fill(i);
    vector.clear();
    vector.push(memory + i * 512, 256);
    vector.push(memory + i * 512, 256);
    assert.equal(uring.writeVector(vector, i * 512, i), 0);
  }
  assert.equal(uring.submit(8), 8);
  assert.deepEqual(completions(uring).map(([, result]) => result), Array(8).fill(512));
  const bytes = Deno.readFileSync(path);
  for (let i = 0; i < 8; i++) assert.equal(bytes[i * 512 + 511], i);
  vector.clear();
  vector.push(window.size - 1, 2);
  assert.equal(uring.readVector(vector, 0, 1), -Errno.EFAULT);
});

Deno.test("nothing outside of the window is queued", () => {
  using file = openFile(path, { write: true });
  using uring = ring(file);
  if (uring === undefined) return;
  for (const [offset, length] of [[-1, 1], [window.size, 1], [NaN, 1], [0, 2 ** 40], [0, -1]]) {
    assert.equal(uring.read(offset, length, 0, 1), -Errno.EFAULT);
    assert.equal(uring.write(offset, length, 0, 1), -Errno.EFAULT);
  }
  assert.equal(uring.read(memory, 1, -1, 1), -Errno.EFAULT);
  assert.equal(uring.pending, 0);
});

Deno.test("a full queue says so", () => {
  using file = openFile(path);
  using uring = ring(file, 4);
  if (uring === undefined) return;
  assert.equal(uring.entries, 4);
  for (let i = 0; i < 4; i++) assert.equal(uring.read(memory, 1, 0, i), 0);
  assert.equal(uring.read(memory, 1, 0, 4), -Errno.EBUSY);
  assert.equal(uring.submit(4), 4);
  assert.equal(uring.read(memory, 1, 0, 4), 0);
  assert.equal(uring.submit(1), 1);
  assert.equal(completions(uring).length, 5);
});

Deno.test("the ring's descriptor is readable while there are completions", () => {
  using file = openFile(path, { write: true, truncate: true });
  pwrite(file, memory, 4096, 0);
  using uring = ring(file);
  if (uring === undefined) return;
  using poller = new Poller();
  poller.add(uring.fd, 9);
  assert.equal(poller.wait(0), 0);
  uring.read(memory, 4096, 0, 1);
  uring.submit();
  assert.equal(poller.wait(1000), 1);
  assert.equal(poller.tag(0), 9);
  assert.deepEqual(completions(uring), [[1, 4096]]);
  assert.equal(poller.wait(0), 0);
});

Deno.test("many requests in flight all come back", () => {
  using file = openFile(path, { write: true, truncate: true });
  pwrite(file, memory, 65536, 0);
  using uring = ring(file, 64);
  if (uring === undefined) return;
  const seen = new Set<number>();
  let next = 0;
  let flying = 0;
  while (seen.size < 5000) {
    while (next < 5000 && flying < 64 && uring.read(memory, 512, (next % 64) * 512, next) === 0) {
      next++;
      flying++;
    }
    uring.submit(1);
    while (uring.next()) {
      assert.equal(uring.result, 512);
      seen.add(uring.userData);
      flying--;
    }
  }
});

Deno.test("the kernel refuses everything else on the ring", () => {
  using file = openFile(path);
  using uring = ring(file);
  if (uring === undefined) return;
  using libc = openLibc();
  const IORING_OFF_SQES = 0x1000_0000n;
  const size = uring.entries * 64;
  // A second mapping of the submission entries, as only hostile native code could have it.
  const entries = libc.symbols.mmap(null, BigInt(size), 3, 1, uring.fd.raw(), IORING_OFF_SQES);
  assert.ok(entries !== null && Deno.UnsafePointer.value(entries) < 2n ** 63n, "mmap failed");
  const sqe = new DataView(Deno.UnsafePointerView.getArrayBuffer(entries, size));
  let at = 0;
  const submit = (change: () => void): number => {
    uring.read(memory, 1, 0, 7);
    change();
    at += 64;
    uring.submit(1);
    return completions(uring)[0]?.[1];
  };
  assert.equal(submit(() => assert.equal(sqe.getUint8(at), 22, "IORING_OP_READ")), 1);
  // IORING_OP_NOP, POLL_ADD, ACCEPT, CONNECT, OPENAT, SPLICE
  for (const operation of [0, 6, 13, 16, 18, 30]) {
    assert.equal(submit(() => sqe.setUint8(at, operation)), -Errno.EACCES, `${operation}`);
  }
  assert.equal(submit(() => sqe.setUint8(at + 1, 0)), -Errno.EACCES, "a file by its number");
  assert.equal(submit(() => sqe.setUint8(at + 1, 1 | 4)), -Errno.EACCES, "IOSQE_IO_LINK");
  assert.equal(submit(() => sqe.setUint32(at + 4, 1, true)), -Errno.EBADF, "another file");
  const IO_URING_REGISTER = 427n;
  const IORING_UNREGISTER_FILES = 3n;
  const ringNumber = BigInt(uring.fd.raw());
  const answer = libc.symbols.syscall(
    IO_URING_REGISTER,
    ringNumber,
    IORING_UNREGISTER_FILES,
    0n,
    0n,
  );
  assert.equal(answer, -1n, "no registration any more");
  libc.symbols.munmap(entries, BigInt(size));
});

Deno.test("there are as many rings as the shim has room for", () => {
  using file = openFile(path);
  const rings: Uring[] = [];
  let reason = "";
  for (let i = 0; i < 9; i++) {
    const made = Uring.tryCreate(window, file, 4);
    if (made instanceof Uring) rings.push(made);
    else reason = made.reason;
  }
  if (rings.length > 0) assert.equal(rings.length, 8);
  assert.notEqual(reason, "");
  for (const made of rings) made[Symbol.dispose]();
});
