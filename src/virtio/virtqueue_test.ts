import assert from "node:assert/strict";
import fc from "fast-check";
import { GuestMemory } from "../memory/mod.ts";
import { DescriptorChain, type QueueFault, type Virtqueue } from "./mod.ts";
import { MockDriver } from "./mock_driver.ts";
import { DescFlag } from "./ring_layout.ts";

const bytes = (...list: number[]) => new Uint8Array(list);

/** Completes everything like a device that copies what it reads into what it may write. */
function echo(queue: Virtqueue, chain: DescriptorChain, memory: MockDriver): number {
  let count = 0;
  queue.beginRound();
  while (queue.next(chain)) {
    const input: number[] = [];
    for (let i = 0; i < chain.readableCount; i++) {
      for (let k = 0; k < chain.lengths[i]; k++) {
        input.push(memory.view.getUint8(chain.offsets[i] + k));
      }
    }
    let written = 0;
    for (let i = chain.readableCount; i < chain.count; i++) {
      for (let k = 0; k < chain.lengths[i] && written < input.length; k++) {
        memory.view.setUint8(chain.offsets[i] + k, input[written++]);
      }
    }
    queue.complete(chain, written);
    count++;
  }
  return count;
}

Deno.test("chains arrive whole and in order, direct and indirect, across the wrap of the index", () => {
  const buffer = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 40 }).map((b) => ({ read: b })),
    fc.integer({ min: 1, max: 40 }).map((n) => ({ write: n })),
  );
  const request = fc.record({
    buffers: fc.array(buffer, { minLength: 1, maxLength: 4 }),
    indirect: fc.boolean(),
  });
  fc.assert(fc.property(
    fc.array(fc.array(request, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 }),
    fc.integer({ min: 65520, max: 65540 }),
    fc.boolean(),
    (rounds, start, eventIndex) => {
      const driver = new MockDriver(16, { start: start & 0xffff });
      const queue = driver.queue({ eventIndex });
      const chain = new DescriptorChain(8);
      for (const round of rounds) {
        const requests = round.map(({ buffers, indirect }) => {
          const readable = buffers.flatMap((b) => "read" in b ? [b.read] : []);
          const writable = buffers.flatMap((b) => "write" in b ? [b.write] : []);
          const input = readable.flatMap((b) => [...b]);
          const { head, addresses } = driver.add([...readable, ...writable], { indirect });
          const places = addresses.slice(readable.length);
          return { head, places, writable, input };
        });
        assert.equal(echo(queue, chain, driver), requests.length);
        const used = driver.takeUsed();
        assert.deepEqual(used.map((u) => u.head), requests.map((r) => r.head));
        requests.forEach(({ places, writable, input }, i) => {
          const output = places.flatMap((p, k) => [...driver.bytes.slice(p, p + writable[k])]);
          const room = writable.reduce((sum, n) => sum + n, 0);
          assert.equal(used[i].written, Math.min(room, input.length));
          assert.deepEqual(output.slice(0, used[i].written), input.slice(0, used[i].written));
        });
      }
      assert.equal(queue.fault, undefined);
    },
  ));
});

function faultOf(
  prepare: (driver: MockDriver) => void,
  options: { indirect?: boolean } = {},
): QueueFault | undefined {
  const driver = new MockDriver(8);
  const queue = driver.queue(options);
  prepare(driver);
  const chain = new DescriptorChain(6);
  queue.beginRound();
  assert.equal(queue.next(chain), false);
  assert.equal(queue.endRound(), false);
  // Broken for good, and quietly.
  driver.add([1]);
  queue.beginRound();
  assert.equal(queue.next(chain), false);
  assert.equal(driver.usedIndex, 0);
  return queue.fault;
}

const NEXT = DescFlag.Next;
const WRITE = DescFlag.Write;
const INDIRECT = DescFlag.Indirect;

function withTable(
  rows: [address: number, length: number, flags: number, next: number][],
  head = 0,
) {
  return (driver: MockDriver) => {
    rows.forEach(([address, length, flags, next], i) => {
      driver.writeDescriptor(driver.desc + i * 16, { address, length, flags, next });
    });
    driver.makeAvailable(head);
  };
}

/** A table of these rows somewhere in memory, named by an indirect descriptor. */
function withIndirect(
  rows: [address: number, length: number, flags: number, next: number][],
  {
    length = rows.length * 16,
    flags = INDIRECT as number,
    address = undefined as number | undefined,
  } = {},
) {
  return (driver: MockDriver) => {
    const table = driver.place(rows.length * 16);
    rows.forEach(([at, size, rowFlags, next], i) => {
      driver.writeDescriptor(table + i * 16, { address: at, length: size, flags: rowFlags, next });
    });
    const descriptor = { address: address ?? table, length, flags, next: 1 };
    driver.writeDescriptor(driver.desc, descriptor);
    driver.makeAvailable(0);
  };
}

Deno.test("every lie of a driver is found out", () => {
  const end = 2 ** 20;
  assert.equal(faultOf((driver) => driver.setAvailableIndex(9)), "available-index");
  assert.equal(faultOf(withTable([], 8)), "head");
  assert.equal(faultOf(withTable([[0, 1, NEXT, 8]])), "next");
  assert.equal(faultOf(withTable([[0, 1, NEXT, 1], [0, 0, NEXT, 0]])), "loop");
  assert.equal(faultOf(withTable([[0, 1, NEXT, 0]])), "too-long");
  assert.equal(faultOf(withTable([[end - 1, 2, 0, 0]])), "address");
  assert.equal(faultOf(withTable([[end, 1, 0, 0]])), "address");
  assert.equal(faultOf(withTable([[2 ** 63, 1, 0, 0]])), "address");
  assert.equal(faultOf(withTable([[2 ** 53 + 2, 1, WRITE, 0]])), "address");
  assert.equal(faultOf(withTable([[0, 1, WRITE | NEXT, 1], [0, 1, 0, 0]])), "order");
  assert.equal(faultOf(withIndirect([[0, 1, 0, 0]]), { indirect: false }), "indirect");
  assert.equal(faultOf(withIndirect([[0, 1, 0, 0]], { flags: INDIRECT | NEXT })), "indirect");
  assert.equal(faultOf(withIndirect([[64, 16, INDIRECT, 0]])), "indirect");
  assert.equal(faultOf(withIndirect([[0, 1, 0, 0]], { length: 0 })), "indirect-table");
  assert.equal(faultOf(withIndirect([[0, 1, 0, 0]], { length: 15 })), "indirect-table");
  assert.equal(faultOf(withIndirect([[0, 1, 0, 0]], { address: end - 8 })), "indirect-table");
  assert.equal(faultOf(withIndirect([[0, 1, NEXT, 1]])), "next");
  assert.equal(faultOf(withIndirect([[0, 1, NEXT, 1], [0, 0, NEXT, 1]])), "loop");
});

Deno.test("more than 4 GiB in one chain are too large", () => {
  const chain = new DescriptorChain(8);
  assert.equal(chain.push(0, 0xffff_ffff, false), undefined);
  assert.equal(chain.push(0, 1, true), "too-large");
});

Deno.test("what a device leaves in its queue is no reason to look at it again, what comes then is", () => {
  for (const eventIndex of [false, true]) {
    const driver = new MockDriver(8);
    const queue = driver.queue({ eventIndex });
    const chain = new DescriptorChain(4);
    driver.add([4]);
    driver.add([4]);
    for (let take = 0; take < 3; take++) {
      queue.beginRound();
      if (take === 1) assert.ok(queue.next(chain));
      assert.equal(queue.hasMore, false);
      assert.equal(queue.endRound(), false);
      if (eventIndex) assert.equal(driver.availableEvent, 2, "a kick comes with the next one");
    }
    queue.beginRound();
    driver.add([4]);
    assert.equal(queue.hasMore, true);
    assert.equal(queue.endRound(), true);
    for (let i = 0; i < 2; i++) assert.ok(queue.next(chain));
    assert.equal(queue.next(chain), false);
  }
});

Deno.test("no content of the rings makes it throw, leave memory or hang", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 600, maxLength: 600 }),
      fc.boolean(),
      (garbage, eventIndex) => {
        const driver = new MockDriver(16, { memoryBytes: 4096 });
        // Small numbers in the high bytes make plausible addresses of many of them.
        const mild = garbage.map((byte, i) => i % 16 >= 2 && i % 16 < 8 ? 0 : byte);
        driver.bytes.set(mild, 0);
        const queue = driver.queue({ eventIndex, base: 0 });
        const chain = new DescriptorChain(64);
        for (let round = 0; round < 4; round++) {
          queue.beginRound();
          while (queue.next(chain)) {
            for (let i = 0; i < chain.count; i++) {
              assert(chain.lengths[i] > 0);
              assert(chain.offsets[i] >= 4096 && chain.offsets[i] + chain.lengths[i] <= 8192);
            }
            queue.complete(chain, chain.writableBytes);
          }
          queue.endRound();
        }
        const guard = new Uint8Array(driver.view.buffer, 0, 4096);
        assert(guard.every((byte) => byte === 0));
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("a buffer may reach from one region into the next", () => {
  const driver = new MockDriver(8, { memoryBytes: 8192 });
  const two = new GuestMemory(
    { buffer: driver.view.buffer as ArrayBuffer, view: driver.view },
    [
      { guestAddress: 0, size: 4096, windowOffset: 4096 },
      { guestAddress: 4096, size: 4096, windowOffset: 8192 },
    ],
  );
  withTable([[4090, 10, WRITE, 0]])(driver);
  const queue = driver.queue({ memory: two, base: 0 });
  const chain = new DescriptorChain(8);
  assert(queue.next(chain));
  assert.deepEqual([...chain.offsets.slice(0, chain.count)], [4096 + 4090, 8192]);
  assert.deepEqual([...chain.lengths.slice(0, chain.count)], [6, 4]);
});

Deno.test("a device that can answer a chain with memory beyond its reach gets the rest of it", () => {
  const driver = new MockDriver(8, { memoryBytes: 8192 });
  const half = new GuestMemory(
    { buffer: driver.view.buffer as ArrayBuffer, view: driver.view },
    [
      { guestAddress: 0, size: 4096, windowOffset: 4096 },
      { guestAddress: 4096, size: 2048, windowOffset: 8192, writable: false },
    ],
  );
  withTable([[10, 4, NEXT, 1], [4090, 10, WRITE | NEXT, 2], [7000, 9, WRITE | NEXT, 3], [
    20,
    1,
    WRITE,
    0,
  ]])(driver);
  const strict = driver.queue({ memory: half, base: 0 });
  assert(!strict.next(new DescriptorChain(8)));
  assert.equal(strict.fault, "address");
  const tolerant = driver.queue({ memory: half, base: 0 });
  const chain = new DescriptorChain(8, true);
  assert(tolerant.next(chain));
  assert(chain.unreachable);
  assert.deepEqual([...chain.offsets.slice(0, chain.count)], [4106, 4096 + 4090, 4116]);
  assert.deepEqual([...chain.lengths.slice(0, chain.count)], [4, 6, 1]);
  withTable([[4090, 10, 0, 0]])(driver);
  assert(tolerant.next(chain) && !chain.unreachable, "it may be read");
});

Deno.test("EVENT_IDX: a signal only when used_event is passed, one for a batch", () => {
  const driver = new MockDriver(8, { start: 65534 });
  const queue = driver.queue();
  const chain = new DescriptorChain(4);
  const round = (count: number) => {
    for (let i = 0; i < count; i++) driver.add([1]);
    echo(queue, chain, driver);
    assert.equal(queue.endRound(), false);
    driver.takeUsed();
  };
  // The first is always signalled: who came before us may have owed it.
  round(1);
  assert.equal(driver.signals, 1);
  driver.usedEvent = 65535;
  round(3);
  assert.equal(driver.signals, 2);
  round(2);
  assert.equal(driver.signals, 2);
  driver.usedEvent = 4;
  round(1);
  assert.equal(driver.signals, 3);
  // We ask for a kick at the next chain.
  assert.equal(driver.availableEvent, (65534 + 7) & 0xffff);
});

Deno.test("EVENT_IDX: signals follow the specification's formula", () => {
  fc.assert(fc.property(
    fc.integer({ min: 0, max: 65535 }),
    fc.array(fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: -9, max: 9 })), {
      maxLength: 20,
    }),
    (start, rounds) => {
      const driver = new MockDriver(8, { start });
      const queue = driver.queue();
      const chain = new DescriptorChain(4);
      let index = start;
      let expected = 0;
      rounds.forEach(([count, distance], i) => {
        driver.usedEvent = index + distance;
        for (let k = 0; k < count; k++) driver.add([1]);
        echo(queue, chain, driver);
        queue.endRound();
        driver.takeUsed();
        // Passed: one of the indices index .. index + count - 1 is used_event.
        const passed = distance >= 0 && distance < count;
        if (passed || i === 0) expected++;
        assert.equal(driver.signals, expected);
        index = (index + count) & 0xffff;
      });
    },
  ));
});

Deno.test("without EVENT_IDX flags suppress kicks and signals", () => {
  const driver = new MockDriver(8);
  const queue = driver.queue({ eventIndex: false });
  const chain = new DescriptorChain(4);
  driver.add([1]);
  queue.beginRound();
  assert.equal(driver.usedFlags, 1);
  assert(queue.next(chain));
  queue.complete(chain, 0);
  queue.endRound();
  assert.equal(driver.usedFlags, 0);
  driver.availableFlags = 1;
  driver.add([1]);
  echo(queue, chain, driver);
  queue.endRound();
  assert.equal(driver.signals, 1);
});

Deno.test("what comes between the last look and the end of a round is not lost", () => {
  const driver = new MockDriver(8);
  const queue = driver.queue();
  const chain = new DescriptorChain(4);
  echo(queue, chain, driver);
  driver.add([1]);
  assert.equal(queue.endRound(), true);
  assert.equal(echo(queue, chain, driver), 1);
  assert.equal(queue.endRound(), false);
});

Deno.test("a round ends although the driver always has more", () => {
  const driver = new MockDriver(512, { memoryBytes: 2 ** 22 });
  const queue = driver.queue();
  const chain = new DescriptorChain(4);
  for (let i = 0; i < 300; i++) driver.add([1]);
  assert.equal(echo(queue, chain, driver), 256);
  assert.equal(queue.endRound(), true);
  assert.equal(echo(queue, chain, driver), 44);
  assert.equal(queue.endRound(), false);
});

Deno.test("a chain that is put back comes again; chains that are left do not keep the queue awake", () => {
  const driver = new MockDriver(8);
  const queue = driver.queue();
  const chain = new DescriptorChain(4);
  const first = driver.add([bytes(1)]);
  driver.add([bytes(2)]);
  queue.beginRound();
  assert(queue.next(chain));
  queue.putBack(chain);
  assert.equal(queue.base, 0);
  assert.equal(queue.endRound(), false);
  queue.beginRound();
  assert(queue.next(chain));
  assert.equal(chain.head, first.head);
  assert.equal(queue.base, 1);
});

Deno.test("chains of a predecessor come first", () => {
  const driver = new MockDriver(8);
  const heads = [driver.add([1]).head, driver.add([1]).head, driver.add([1]).head];
  const queue = driver.queue({ base: 2, resubmit: [heads[1], heads[0]] });
  const chain = new DescriptorChain(4);
  assert.deepEqual([queue.resubmitsLeft, queue.base], [2, 0]);
  echo(queue, chain, driver);
  assert.deepEqual(driver.takeUsed().map((u) => u.head), [heads[1], heads[0], heads[2]]);
  assert.equal(queue.base, 3);
});

/** Notes each call with the used index that the driver sees at the time. */
function logged(driver: MockDriver) {
  const seen: string[] = [];
  const note = (text: string) => void seen.push(`${text} at ${driver.usedIndex}`);
  const queue = driver.queue({
    log: {
      taken: (head) => note(`taken ${head}`),
      putBack: (head) => note(`back ${head}`),
      completing: (head) => note(`completing ${head}`),
      completed: (head) => note(`completed ${head}`),
      published: (index) => note(`published ${index}`),
    },
  });
  return { seen, queue };
}

Deno.test("completion is logged around the used index", () => {
  const driver = new MockDriver(8);
  const { seen, queue } = logged(driver);
  driver.add([1]);
  echo(queue, new DescriptorChain(4), driver);
  assert.deepEqual(seen, [
    "taken 0 at 0",
    "completing 0 at 0",
    "completed 0 at 1",
    "published 1 at 1",
  ]);
});

Deno.test("chains that belong together appear at once", () => {
  const driver = new MockDriver(8);
  const { seen, queue } = logged(driver);
  driver.add([4]);
  driver.add([4]);
  queue.beginRound();
  const chain = new DescriptorChain(4);
  for (const written of [4, 3]) {
    assert(queue.next(chain));
    queue.use(chain, written);
  }
  queue.notify();
  assert.deepEqual([driver.usedIndex, driver.signals], [0, 0]);
  queue.publish();
  queue.publish();
  queue.notify();
  assert.equal(driver.signals, 1);
  assert.deepEqual(driver.takeUsed().map(({ written }) => written), [4, 3]);
  assert.deepEqual(seen.slice(-3), ["completed 0 at 2", "completed 1 at 2", "published 2 at 2"]);
});

Deno.test("several chains go back, the last one first, those of a predecessor to their own place", () => {
  const driver = new MockDriver(8);
  const heads = [1, 2, 3, 4].map(() => driver.add([1]).head);
  const queue = driver.queue({ base: 2, resubmit: heads.slice(0, 2) });
  const chains = heads.map(() => new DescriptorChain(4));
  queue.beginRound();
  for (const chain of chains) assert(queue.next(chain));
  assert.equal(queue.base, 4);
  for (const chain of chains.reverse()) queue.putBack(chain);
  assert.deepEqual([queue.resubmitsLeft, queue.base], [2, 0]);
  echo(queue, new DescriptorChain(4), driver);
  assert.deepEqual(driver.takeUsed().map(({ head }) => head), heads);
});

Deno.test("a device that has enough is not kicked, until it wants to be", () => {
  const driver = new MockDriver(8);
  const queue = driver.queue();
  queue.beginRound();
  queue.needsKicks = false;
  driver.add([1]);
  assert.equal(queue.endRound(), false, "it looks by itself");
  assert.equal(driver.availableEvent, 0x8000);
  queue.beginRound();
  queue.needsKicks = true;
  assert.equal(queue.endRound(), false);
  assert.equal(driver.availableEvent, 1);
  const plain = new MockDriver(8);
  const other = plain.queue({ eventIndex: false });
  other.beginRound();
  other.needsKicks = false;
  other.endRound();
  assert.equal(plain.usedFlags, 1);
});
