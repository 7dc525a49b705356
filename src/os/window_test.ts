import assert from "node:assert/strict";
import { library } from "./library.ts";
import { memfd, openFile, PAGE_SIZE, Window } from "./mod.ts";

const window = Window.reserve();

Deno.test("there is one window per process", () => {
  assert.throws(() => Window.reserve(), { code: "EALREADY" });
});

Deno.test("two mappings of one memory show the same bytes; offsets above 4 GiB work", () => {
  using memory = memfd("test", 2 * PAGE_SIZE);
  const low = window.allocate(2 * PAGE_SIZE);
  const high = 2 ** 41 + 7 * PAGE_SIZE;
  window.mapFd(low, 2 * PAGE_SIZE, memory, 0);
  window.mapFd(high, PAGE_SIZE, memory, PAGE_SIZE);
  window.view.setUint32(high + 8, 0xdecafbad, true);
  assert.equal(window.view.getUint32(low + PAGE_SIZE + 8, true), 0xdecafbad);
  assert.equal(new Uint32Array(window.buffer, high, 4)[2], 0xdecafbad);
  assert.equal(Atomics.load(new Int32Array(window.buffer, high, 4), 2), 0xdecafbad | 0);
  window.unmap(high, PAGE_SIZE);
  window.free(low, 2 * PAGE_SIZE);
});

Deno.test("private and read-only mappings", () => {
  using memory = memfd("test", PAGE_SIZE);
  const shared = window.allocate(PAGE_SIZE);
  const own = window.allocate(PAGE_SIZE);
  window.mapFd(shared, PAGE_SIZE, memory, 0);
  window.mapFd(own, PAGE_SIZE, memory, 0, { shared: false });
  window.view.setUint8(own, 1);
  assert.equal(window.view.getUint8(shared), 0);
  using readOnly = openFile("/etc/passwd");
  assert.throws(() => window.mapFd(own, PAGE_SIZE, readOnly, 0), { code: "EACCES" });
  window.mapFd(own, PAGE_SIZE, readOnly, 0, { write: false });
  assert.equal(new TextDecoder().decode(window.bytes(own, 4)), "root");
  window.free(shared, PAGE_SIZE);
  window.free(own, PAGE_SIZE);
});

Deno.test("nothing maps outside of the window or off a page border", () => {
  using memory = memfd("test", PAGE_SIZE);
  const before = Deno.readTextFileSync("/proc/self/maps");
  const bad: [offset: number, length: number][] = [
    [-PAGE_SIZE, PAGE_SIZE],
    [window.size, PAGE_SIZE],
    [window.size - PAGE_SIZE, 2 * PAGE_SIZE],
    [0, window.size + PAGE_SIZE],
    [1, PAGE_SIZE],
    [NaN, PAGE_SIZE],
    [0, NaN],
    [Infinity, PAGE_SIZE],
    [2 ** 63, PAGE_SIZE],
    [PAGE_SIZE, -PAGE_SIZE],
    [PAGE_SIZE, 0],
    [-window.base, PAGE_SIZE],
  ];
  for (const [offset, length] of bad) {
    const name = `${offset} ${length}`;
    assert.throws(() => window.mapFd(offset, length, memory, 0), { code: "EINVAL" }, name);
    assert.throws(() => window.mapAnonymous(offset, length), { code: "EINVAL" }, name);
    assert.throws(() => window.unmap(offset, length), { code: "EINVAL" }, name);
  }
  const symbols = library();
  assert.equal(symbols.sp_window_map(PAGE_SIZE, 100, memory.raw(), 0, 1, 1), -22);
  assert.equal(symbols.sp_window_map(PAGE_SIZE, PAGE_SIZE, memory.raw(), -PAGE_SIZE, 1, 1), -22);
  const lines = (maps: string) => maps.split("\n").filter((line) => line.includes("memfd:test"));
  assert.deepEqual(lines(Deno.readTextFileSync("/proc/self/maps")), lines(before));
});

Deno.test("no mapping of the window is executable", () => {
  const offset = window.allocate(PAGE_SIZE);
  window.mapAnonymous(offset, PAGE_SIZE);
  const start = (window.base + offset).toString(16);
  const line = Deno.readTextFileSync("/proc/self/maps").split("\n").find((l) =>
    l.startsWith(`${start}-`)
  );
  assert.match(line ?? "none", / rw-p /);
  window.free(offset, PAGE_SIZE);
});

Deno.test("what was freed is empty and is handed out again", () => {
  const offset = window.allocate(10);
  window.mapAnonymous(offset, 10);
  window.view.setUint8(offset, 1);
  window.free(offset, 10);
  assert.equal(window.allocate(10), offset);
  window.mapAnonymous(offset, 10);
  assert.equal(window.view.getUint8(offset), 0);
  window.free(offset, 10);
});

Deno.test("neighbours have an empty page between them", () => {
  const first = window.allocate(PAGE_SIZE);
  const second = window.allocate(PAGE_SIZE);
  assert.equal(second - first, 2 * PAGE_SIZE);
  window.free(first, PAGE_SIZE);
  window.free(second, PAGE_SIZE);
});

Deno.test("another thread joins the same window and cannot hand out its ranges", async () => {
  const offset = window.allocate(PAGE_SIZE);
  window.mapAnonymous(offset, PAGE_SIZE);
  window.view.setUint32(offset, 42, true);
  const worker = new Worker(new URL("./testdata/join_window.ts", import.meta.url), {
    type: "module",
  });
  const answer = await new Promise((resolve, reject) => {
    worker.onmessage = (event) => resolve(event.data);
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage({ token: window.token, offset });
  });
  worker.terminate();
  assert.deepEqual(answer, { saw: 42, base: window.base, refused: true });
  assert.equal(window.view.getUint32(offset, true), 43);
  window.free(offset, PAGE_SIZE);
});
