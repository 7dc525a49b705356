import assert from "node:assert/strict";
import { type Fd, memfd, openFile, Window } from "../os/mod.ts";
import { DeviceSharedMemory } from "./shared_memory.ts";

const window = Window.reserve(2 ** 36);

/** A device whose table of mappings is a map from places to addresses. */
function setUp() {
  const mapped = new Map<number, { userAddress: number; writable: boolean }>();
  const refusals: string[] = [];
  const control = {
    mapShared({ offset, ...rest }: { offset: number; userAddress: number; writable: boolean }) {
      if (mapped.has(offset)) return false;
      mapped.set(offset, rest);
      return true;
    },
    unmapShared(_region: number, offset: number) {
      const address = mapped.get(offset)?.userAddress;
      mapped.delete(offset);
      return address;
    },
    clearShared: () => mapped.clear(),
  };
  const shared = new DeviceSharedMemory(window, control, (reason) => refusals.push(reason));
  const map = (fd: Fd, more = {}) =>
    shared.map(
      { region: 0, offset: 2 ** 21, fdOffset: 0, length: 8192, writable: true, ...more },
      fd,
    );
  return { shared, map, mapped, refusals };
}

/** Ranges of the window that something is mapped at. */
function mappingsOf(name: string): number {
  return Deno.readTextFileSync("/proc/self/maps").split(`/memfd:${name}`).length - 1;
}

Deno.test("memory of a backend is mapped for the guest until it is taken away", () => {
  const { shared, map, mapped, refusals } = setUp();
  using memory = memfd("shown", 3 * 4096);
  assert.ok(map(memory, { fdOffset: 4096 }));
  const place = mapped.get(2 ** 21);
  assert.ok(place !== undefined);
  assert.equal(place.userAddress % 2 ** 21, 0);
  const own = window.allocate(4096);
  window.mapFd(own, 4096, memory, 4096);
  window.view.setUint8(own, 7);
  assert.equal(window.view.getUint8(place.userAddress - window.base), 7);
  window.free(own, 4096);
  assert.ok(!map(memory), "the place is taken");
  assert.ok(shared.unmap(0, 2 ** 21, 8192));
  assert.ok(!shared.unmap(0, 2 ** 21, 8192));
  assert.equal(refusals.length, 2);

  assert.ok(map(memory));
  assert.ok(map(memory, { offset: 2 ** 22, writable: false }));
  assert.equal(mapped.get(2 ** 22)?.writable, false);
  assert.equal(mappingsOf("shown"), 2);
  shared.clear();
  assert.equal(mappingsOf("shown"), 0);
  assert.equal(mapped.size, 0);
});

Deno.test("memory that may vanish, is too short, or is none is refused, with the reason", () => {
  const { map, refusals } = setUp();
  using shrinks = memfd("shrinks", 8192, { seal: false });
  using short = memfd("short", 4097);
  using file = openFile("/proc/self/exe");
  assert.ok(!map(shrinks));
  assert.ok(!map(short, { length: 12288 }));
  assert.ok(!map(short, { fdOffset: 4096 }));
  assert.ok(!map(short, { length: 100 }));
  assert.ok(!map(short, { offset: 100 }));
  assert.ok(!map(short, { length: 0 }));
  assert.ok(!map(short, { length: 2 ** 53 }));
  assert.ok(!map(file));
  assert.match(refusals[0], /not sealed against shrinking/);
  assert.match(refusals[1], /not in a memory of 4097/);
  assert.match(refusals.at(-1) ?? "", /no memory \(memfd\)/);
  assert.equal(refusals.length, 8);
  assert.ok(map(short), "its last page counts whole");
});
