import assert from "node:assert/strict";
import { Limiter, type Throttled } from "./limiter.ts";
import { TokenBucket } from "./token_bucket.ts";

const endless = (index = 0) => ({ index, hasAny: true, resubmitsLeft: 0 });

/** What passes in so many seconds when there is always more, and who is served waits as it is told to. */
function served(limiter: Limiter, clock: { now: number }, seconds: number, bytes: number): number {
  const queue = endless();
  const end = clock.now + seconds * 1000;
  let count = 0;
  for (; clock.now < end; clock.now += Math.max(limiter.delay, 0)) {
    while (limiter.lets(queue)) {
      limiter.passed(bytes);
      count++;
    }
  }
  return count;
}

function clocked(limit: ConstructorParameters<typeof Limiter>[0], report?: (t: Throttled) => void) {
  const clock = { now: 5000 };
  return { clock, limiter: new Limiter(limit, { now: () => clock.now, report }) };
}

Deno.test("a bucket gives its burst at once, then its rate", () => {
  const bucket = new TokenBucket(100, 0.5);
  for (let i = 0; i < 50; i++) {
    assert.equal(bucket.wait(0), 0);
    bucket.take(1);
  }
  assert.equal(bucket.wait(0), 10);
  assert.equal(bucket.wait(10), 0);
  // More than there is: the next one waits for all of it.
  bucket.take(100);
  assert.ok(bucket.wait(10) > 990 && bucket.wait(10) <= 1000);
  assert.equal(bucket.wait(1011), 0);
  // What nobody uses is not kept beyond the burst.
  assert.equal(bucket.wait(1e9), 0);
  bucket.take(50);
  assert.ok(bucket.wait(1e9) > 0);
});

Deno.test("operations pass at their rate, beyond the burst of the beginning", () => {
  const { limiter, clock } = clocked({ operations: 500, burst: 1 });
  const count = served(limiter, clock, 10, 4096);
  assert.ok(count >= 5500 - 2 && count <= 5500 + 2, `${count}`);
  const again = served(limiter, clock, 10, 4096);
  assert.ok(again >= 5000 - 2 && again <= 5000 + 2, `${again}`);
});

Deno.test("bytes pass at their rate, also in pieces larger than the burst", () => {
  for (const [bytes, burst] of [[4096, 0.1], [2 ** 20, 0.01]]) {
    const { limiter, clock } = clocked({ bytes: 2 ** 20, burst });
    const total = served(limiter, clock, 20, bytes) * bytes;
    const most = 2 ** 20 * (20 + burst) + bytes;
    assert.ok(total <= most && total >= most - 2 * bytes - 2 ** 20 * 0.02, `${total} of ${most}`);
  }
});

Deno.test("the stricter of two rates counts", () => {
  const both = clocked({ operations: 100, bytes: 2 ** 20, burst: 0.01 });
  const small = served(both.limiter, both.clock, 10, 512);
  assert.ok(Math.abs(small - 1000) <= 3, `${small}`);
  const large = served(both.limiter, both.clock, 10, 2 ** 16);
  assert.ok(Math.abs(large - 160) <= 3, `${large}`);
});

Deno.test("queues that wait take turns", () => {
  const { limiter, clock } = clocked({ operations: 1000, burst: 0.001 });
  const counts = [0, 0, 0];
  for (let i = 0; i < 3000; i++) {
    for (let index = 0; index < counts.length; index++) {
      while (limiter.lets(endless(index))) {
        limiter.passed(0);
        counts[index]++;
      }
    }
    clock.now += Math.max(limiter.delay, 0);
  }
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 2, `${counts}`);
});

Deno.test("what was held back is told, and nothing when nothing was", () => {
  const told: Throttled[] = [];
  const { limiter, clock } = clocked({ operations: 10, burst: 0.1 }, (each) => told.push(each));
  const idle = { index: 0, hasAny: false, resubmitsLeft: 0 };
  assert.ok(limiter.lets(idle));
  assert.equal(limiter.delay, -1);
  limiter.passed(0);
  assert.equal(limiter.lets(idle), false);
  assert.equal(limiter.delay, -1);
  assert.equal(limiter.lets(endless()), false);
  const wait = limiter.delay;
  assert.ok(wait > 0 && wait <= 101, `${wait}`);
  clock.now += wait;
  assert.equal(limiter.delay, 0);
  assert.ok(limiter.lets(endless()));
  // Nobody waits; what happened since the last report is told a moment later.
  const later = limiter.delay;
  assert.ok(later > 0);
  clock.now += later;
  assert.equal(limiter.delay, -1);
  assert.deepEqual(told.at(-1), { times: 1, milliseconds: wait });
  assert.deepEqual(limiter.throttled, { times: 1, milliseconds: wait });
});

Deno.test("requests of a predecessor do not wait", () => {
  const { limiter } = clocked({ operations: 1, burst: 1 });
  assert.ok(limiter.lets(endless()));
  limiter.passed(0);
  assert.equal(limiter.lets(endless()), false);
  assert.ok(limiter.lets({ ...endless(), resubmitsLeft: 1 }));
});
