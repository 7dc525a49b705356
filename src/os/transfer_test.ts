import assert from "node:assert/strict";
import {
  Errno,
  fallocate,
  FallocateMode,
  fdatasync,
  fileStat,
  getrandom,
  IoVector,
  openFile,
  pread,
  preadv,
  pwrite,
  pwritev,
  readv,
  socketPair,
  Window,
  writev,
} from "./mod.ts";

const window = Window.reserve();
const memory = window.allocate(65536);
window.mapAnonymous(memory, 65536);
const path = Deno.makeTempFileSync();
globalThis.addEventListener("unload", () => Deno.removeSync(path));

const fill = (offset: number, length: number, value: number) =>
  window.bytes(offset, length).fill(value);

Deno.test("reads and writes between file and window, past 4 GiB of both", () => {
  using file = openFile(path, { write: true });
  const high = 2 ** 40;
  window.mapAnonymous(high, 4096);
  fill(memory, 4096, 7);
  assert.equal(pwrite(file, memory, 4096, 5e9), 4096);
  assert.equal(pread(file, high, 4096, 5e9 - 1000), 4096);
  assert.equal(window.view.getUint8(high + 999), 0);
  assert.equal(window.view.getUint8(high + 1000), 7);
  assert.equal(fdatasync(file), 0);
  assert.equal(fileStat(file).size, 5e9 + 4096);
  assert.equal(pread(file, memory, 4096, 6e9), 0, "past the end");
});

Deno.test("a range outside of the window is refused", () => {
  using file = openFile(path, { write: true });
  const bad = [[-1, 10], [window.size - 5, 10], [0, window.size + 1], [NaN, 1], [1, NaN], [1, -1]];
  for (const [offset, length] of bad) {
    assert.equal(pread(file, offset, length, 0), -Errno.EFAULT);
    assert.equal(pwrite(file, offset, length, 0), -Errno.EFAULT);
    assert.equal(getrandom(offset, length), -Errno.EFAULT);
  }
  assert.equal(pwrite(file, 0, 4096, 0), -Errno.EFAULT, "nothing is mapped there");
  assert.equal(pread(file, memory, 1, -1), -Errno.EINVAL);
});

Deno.test("vectors gather and scatter in order", () => {
  using file = openFile(path, { write: true, truncate: true });
  using vector = new IoVector(window, 4);
  fill(memory, 10, 1);
  fill(memory + 100, 20, 2);
  fill(memory + 200, 30, 3);
  vector.push(memory, 10);
  vector.push(memory + 100, 20);
  vector.push(memory + 200, 30);
  assert.equal(vector.count, 3);
  assert.equal(vector.bytes, 60);
  assert.equal(pwritev(file, vector, 5), 60);
  const bytes = Deno.readFileSync(path);
  assert.deepEqual([...bytes], [
    ...Array(5).fill(0),
    ...Array(10).fill(1),
    ...Array(20).fill(2),
    ...Array(30).fill(3),
  ]);
  vector.clear();
  vector.push(memory + 1000, 30);
  vector.push(memory + 500, 30);
  assert.equal(preadv(file, vector, 5), 60);
  assert.deepEqual([...window.bytes(memory + 500, 30)], Array(30).fill(3));
});

Deno.test("a vector with one bad range moves nothing", () => {
  using file = openFile(path, { write: true, truncate: true });
  using vector = new IoVector(window, 4);
  const bad = [[window.size - 1, 2], [0, window.size + 1], [2 ** 53, 1], [2 ** 63, 2 ** 63]];
  for (const [offset, length] of bad) {
    vector.clear();
    vector.push(memory, 10);
    vector.push(offset, length);
    assert.equal(pwritev(file, vector, 0), -Errno.EFAULT, `${offset} ${length}`);
    assert.equal(preadv(file, vector, 0), -Errno.EFAULT);
    assert.equal(fileStat(file).size, 0);
  }
});

Deno.test("a vector is full at its capacity", () => {
  using vector = new IoVector(window, 2);
  assert.equal(vector.push(memory, 1), true);
  assert.equal(vector.push(2 ** 41 + 5, 2 ** 33), true);
  assert.equal(vector.push(memory, 1), false);
  assert.equal(vector.count, 2);
  assert.equal(vector.offsetAt(1), 2 ** 41 + 5);
  assert.equal(vector.lengthAt(1), 2 ** 33);
  assert.throws(() => new IoVector(window, 1025), RangeError);
});

Deno.test("vectors on a stream", () => {
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  using vector = new IoVector(window, 2);
  vector.push(memory, 3);
  vector.push(memory + 64, 4);
  assert.equal(writev(a, vector), 7);
  assert.equal(readv(b, vector), 7);
});

Deno.test("punching a hole gives the blocks back and reads as zeroes", () => {
  using file = openFile(path, { write: true, truncate: true });
  fill(memory, 65536, 9);
  pwrite(file, memory, 65536, 0);
  const mode = FallocateMode.PunchHole | FallocateMode.KeepSize;
  const result = fallocate(file, mode, 4096, 8192);
  if (result === -Errno.EOPNOTSUPP) return;
  assert.equal(result, 0);
  pread(file, memory, 16384, 0);
  assert.equal(window.view.getUint8(memory + 4095), 9);
  assert.equal(window.view.getUint8(memory + 4096), 0);
  assert.equal(window.view.getUint8(memory + 12287), 0);
  assert.equal(window.view.getUint8(memory + 12288), 9);
  assert.equal(fallocate(file, 0x40, 0, 4096), -Errno.EOPNOTSUPP);
});

Deno.test("random bytes", () => {
  fill(memory, 64, 0);
  assert.equal(getrandom(memory, 64), 64);
  assert.ok(new Set(window.bytes(memory, 64)).size > 16);
});
