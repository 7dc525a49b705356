import assert from "node:assert/strict";
import fc from "fast-check";
import { memfd, openFile, Window, writeAll } from "../os/mod.ts";
import { BackendRefusal } from "./backend_refusal.ts";
import { countInflight } from "./count_inflight.ts";
import { InflightRegion } from "./inflight_region.ts";
import { InflightLog, inflightQueueBytes } from "./inflight_log.ts";

const SIZE = 8;
const START = 64;

class Killed extends Error {}

/** Memory whose writer is killed when it has written so often. */
function fresh() {
  const view = new DataView(new ArrayBuffer(START + inflightQueueBytes(SIZE)));
  const life = { left: Infinity };
  for (const name of ["setUint8", "setUint16", "setUint32"] as const) {
    const write = view[name].bind(view);
    view[name] = (offset: number, value: number, little?: boolean) => {
      if (life.left-- <= 0) throw new Killed();
      write(offset, value, little);
    };
  }
  return { view, life, log: new InflightLog(view, START, SIZE) };
}

Deno.test("each queue takes a multiple of 64 bytes, 16 for each descriptor and 16 more", () => {
  assert.equal(inflightQueueBytes(1), 64);
  assert.equal(inflightQueueBytes(256), 16 + 256 * 16 + 48);
});

Deno.test("wherever a backend ends, its successor does what is left, once, in order", () => {
  // Each number takes a chain, or completes the k-th of those that are taken.
  const script = fc.array(fc.integer({ min: -1, max: SIZE - 1 }), { maxLength: 40 });
  fc.assert(
    fc.property(script, fc.integer({ min: 0, max: 200 }), (steps, lifetime) => {
      const { view, life, log } = fresh();
      let usedIndex = 65530;
      log.recover(usedIndex);
      life.left = lifetime;
      const taken: number[] = [];
      let doubtful: { head: number; what: "taken" | "completed" } | undefined;
      try {
        for (const step of steps) {
          if (step < 0) {
            const head = Array.from({ length: SIZE }, (_, i) => i).find((i) => !taken.includes(i));
            if (head === undefined) continue;
            doubtful = { head, what: "taken" };
            log.taken(head);
            taken.push(head);
          } else {
            // One alone, or several that the driver gets at once.
            const heads = taken.slice(step, 2 * step + 1);
            for (const head of heads) log.completing(head);
            // The ring itself: from here on the driver sees them.
            usedIndex = (usedIndex + heads.length) & 0xffff;
            taken.splice(step, heads.length);
            doubtful = { head: -1, what: "completed" };
            for (const head of heads) log.completed(head);
            log.published(usedIndex);
          }
          doubtful = undefined;
        }
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
      }
      life.left = Infinity;
      const { base, resubmit } = new InflightLog(view, START, SIZE).recover(usedIndex);
      // A chain that was just being noted may count as taken or not; the index tells which.
      const expected = doubtful?.what === "taken" && resubmit.includes(doubtful.head)
        ? [...taken, doubtful.head]
        : taken;
      assert.deepEqual(resubmit, expected);
      assert.equal(base, (usedIndex + expected.length) & 0xffff);
      // And again, as if the successor had ended at once.
      assert.deepEqual(new InflightLog(view, START, SIZE).recover(usedIndex).resubmit, expected);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("fresh notes know no predecessor", () => {
  const { view, log } = fresh();
  assert.deepEqual(log.recover(7), { base: undefined, resubmit: [] });
  assert.deepEqual(new InflightLog(view, START, SIZE).recover(7), { base: 7, resubmit: [] });
});

Deno.test("notes of another kind are refused; garbage yields only heads that exist", () => {
  const { view, log } = fresh();
  view.setUint16(START + 8, 2, true);
  assert.throws(() => log.recover(0), BackendRefusal);
  view.setUint16(START + 8, 1, true);
  view.setUint16(START + 10, SIZE * 2, true);
  assert.throws(() => log.recover(0), BackendRefusal);
  fc.assert(fc.property(
    fc.uint8Array({ minLength: view.byteLength, maxLength: view.byteLength }),
    fc.integer({ min: 0, max: 65535 }),
    (garbage, usedIndex) => {
      new Uint8Array(view.buffer).set(garbage);
      view.setUint16(START + 8, 1, true);
      view.setUint16(START + 10, SIZE, true);
      const { resubmit } = log.recover(usedIndex);
      assert.equal(new Set(resubmit).size, resubmit.length);
      assert(resubmit.every((head) => head >= 0 && head < SIZE));
      assert.deepEqual([...new Uint8Array(view.buffer, 0, START)], [...garbage.slice(0, START)]);
    },
  ));
});

Deno.test("a frontend counts what a backend had in hand, and does not trust its memory", () => {
  const window = Window.reserve(2 ** 36);
  const { view, log } = fresh();
  log.recover(0);
  for (const head of [1, 2, 5]) log.taken(head);
  log.completing(2);
  log.completed(2);
  log.published(1);
  const notes = new Uint8Array(view.buffer, START);
  const count = (size: number, queues: number, fd = memfd("notes", 4096, { seal: false })) => {
    using region = new InflightRegion(fd, size, 0, queues, SIZE);
    writeAll(region.fd, notes);
    return countInflight(region, window);
  };
  assert.equal(count(notes.length, 1), 2);
  assert.equal(count(2 * notes.length, 2), 2);
  assert.equal(count(notes.length - 1, 1), undefined, "shorter than what it is to hold");
  assert.equal(count(2 ** 40, 2 ** 20), undefined, "more than is looked at");
  assert.equal(count(2 ** 20, 4096 / notes.length + 1), undefined, "it ends before");
  const file = Deno.makeTempFileSync();
  assert.equal(count(notes.length, 1, openFile(file, { write: true })), undefined, "no memory");
  Deno.removeSync(file);
});
