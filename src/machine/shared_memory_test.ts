import assert from "node:assert/strict";
import {
  type Fd,
  fileStat,
  leakedDescriptors,
  memfd,
  openFile,
  trackDescriptors,
  Window,
} from "../os/mod.ts";
import { type MappingUser, type SharedMapping, SharedMappings } from "./shared_mappings.ts";
import { DeviceSharedMemory } from "./shared_memory.ts";

const window = Window.reserve(2 ** 36);
/** Where the guest has the region. */
const BAR = 2 ** 40;

/** A device whose table of mappings is a map from places to addresses, and who else hears of them. */
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
    sharedAddress: (_region: number, offset: number) => BAR + offset,
  };
  const mappings = new SharedMappings();
  const refused = (reason: string) => refusals.push(reason);
  const shared = new DeviceSharedMemory(control, { window, mappings, refused });
  const map = (fd: Fd, more = {}) =>
    shared.map(
      { region: 0, offset: 2 ** 21, fdOffset: 0, length: 8192, writable: true, ...more },
      fd,
    );
  return { shared, map, mapped, refusals, mappings };
}

/** Ranges of the window that something is mapped at. */
function mappingsOf(name: string): number {
  return Deno.readTextFileSync("/proc/self/maps").split(`/memfd:${name}`).length - 1;
}

Deno.test("memory of a backend is mapped for the guest until it is taken away", async () => {
  const { shared, map, mapped, refusals } = setUp();
  using memory = memfd("shown", 3 * 4096);
  assert.ok(await map(memory, { fdOffset: 4096 }));
  const place = mapped.get(2 ** 21);
  assert.ok(place !== undefined);
  assert.equal(place.userAddress % 2 ** 21, 0);
  const own = window.allocate(4096);
  window.mapFd(own, 4096, memory, 4096);
  window.view.setUint8(own, 7);
  assert.equal(window.view.getUint8(place.userAddress - window.base), 7);
  window.free(own, 4096);
  assert.ok(!await map(memory), "the place is taken");
  assert.ok(await shared.unmap(0, 2 ** 21, 8192));
  assert.ok(!await shared.unmap(0, 2 ** 21, 8192));
  assert.equal(refusals.length, 2);

  assert.ok(await map(memory));
  assert.ok(await map(memory, { offset: 2 ** 22, writable: false }));
  assert.equal(mapped.get(2 ** 22)?.writable, false);
  assert.equal(mappingsOf("shown"), 2);
  await shared.clear();
  assert.equal(mappingsOf("shown"), 0);
  assert.equal(mapped.size, 0);
});

Deno.test("memory that may vanish, is too short, or is none is refused, with the reason", async () => {
  const { map, shared, refusals } = setUp();
  using shrinks = memfd("shrinks", 8192, { seal: false });
  using short = memfd("short", 4097);
  using file = openFile("/proc/self/exe");
  assert.ok(!await map(shrinks));
  assert.ok(!await map(short, { length: 12288 }));
  assert.ok(!await map(short, { fdOffset: 4096 }));
  assert.ok(!await map(short, { length: 100 }));
  assert.ok(!await map(short, { offset: 100 }));
  assert.ok(!await map(short, { length: 0 }));
  assert.ok(!await map(short, { length: 2 ** 53 }));
  assert.ok(!await map(file));
  assert.match(refusals[0], /not sealed against shrinking/);
  assert.match(refusals[1], /not in a memory of 4097/);
  assert.match(refusals.at(-1) ?? "", /no memory \(memfd\)/);
  assert.equal(refusals.length, 8);
  assert.ok(await map(short), "its last page counts whole");
  await shared.clear();
});

const soon = () => new Promise((resolve) => setTimeout(resolve));

/** A backend of another device, which deals with what it is told when it is let. */
class Other implements MappingUser {
  readonly heard: string[] = [];
  #go = Promise.withResolvers<void>();

  add({ guestAddress, size, fdOffset, writable, fd }: SharedMapping): Promise<void> {
    const { size: whole } = fileStat(fd);
    this.heard.push(`+${guestAddress - BAR} ${size}/${whole} at ${fdOffset}, ${writable}`);
    return this.#go.promise;
  }
  remove({ guestAddress }: SharedMapping): Promise<void> {
    this.heard.push(`-${guestAddress - BAR}`);
    return this.#go.promise;
  }
  /** Resolves when it was let and what follows from that has happened. */
  async let(): Promise<void> {
    await soon();
    this.#go.resolve();
    this.#go = Promise.withResolvers();
    await soon();
  }
  lose(): void {
    this.#go.reject(new Error("it is away"));
    this.#go = Promise.withResolvers();
  }
}

Deno.test("a wish is granted when the backends of other devices have dealt with it", async () => {
  trackDescriptors();
  {
    const { shared, map, mapped, mappings } = setUp();
    const others = [new Other(), new Other()];
    for (const other of others) mappings.join(other);
    const states: string[] = [];
    const note = (name: string, wish: Promise<boolean>) =>
      void wish.then((done) => states.push(`${name} ${done}`));
    {
      using memory = memfd("shown", 3 * 4096);
      note("first", map(memory, { fdOffset: 4096 }));
      note("second", map(memory, { offset: 2 ** 22, writable: false }));
    }
    await others[0].let();
    assert.deepEqual(states, [], "the other one is not done");
    await others[1].let();
    assert.deepEqual(states, ["first true"]);
    assert.equal(others[1].heard.length, 2, "one at a time");
    // Who joins now learns of both.
    assert.deepEqual([...mappings.current].map(({ guestAddress }) => guestAddress - BAR), [
      2 ** 21,
      2 ** 22,
    ]);
    await others[0].let();
    others[1].lose();
    await soon();
    assert.deepEqual(states, ["first true", "second true"], "a backend that is lost fails nothing");
    const first = 2 ** 21, second = 2 ** 22;
    const added = [`+${first} 8192/12288 at 4096, true`, `+${second} 8192/12288 at 0, false`];
    assert.deepEqual(others[0].heard.splice(0), added);
    assert.deepEqual(others[1].heard.splice(0), added);

    note("unmap", shared.unmap(0, first, 8192));
    await others[0].let();
    assert.ok(mappingsOf("shown") === 2 && states.length === 2, "somebody uses it still");
    await others[1].let();
    assert.deepEqual(states.slice(2), ["unmap true"]);
    assert.equal(mappingsOf("shown"), 1);
    const cleared = shared.clear();
    await others[0].let();
    await others[1].let();
    await cleared;
    assert.deepEqual(others[0].heard, [`-${first}`, `-${second}`]);
    assert.equal(mapped.size, 0);
    assert.equal([...mappings.current].length, 0);

    // At the end of the machine nobody is waited for.
    using memory = memfd("shown", 8192);
    const late = map(memory);
    await others[0].let();
    mappings[Symbol.dispose]();
    await others[1].let();
    assert.ok(await late);
    assert.ok(await map(memory, { offset: second }));
    await shared.clear();
  }
  assert.deepEqual(leakedDescriptors(), []);
  trackDescriptors(false);
});
