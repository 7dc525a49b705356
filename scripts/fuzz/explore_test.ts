import assert from "node:assert/strict";
import { Chance } from "../../tests/fuzz/mod.ts";
import { mutate } from "./mutate.ts";
import { shrink } from "./shrink.ts";

Deno.test("a tape gets as short as its property allows, within so many games", async () => {
  const tape = new Chance(1).tape(500);
  tape.set([1, 2, 3], 333);
  let games = 0;
  const holds = (tape: Uint8Array) => {
    games++;
    return Promise.resolve(tape.join().includes("1,2,3"));
  };
  assert.deepEqual([...await shrink(tape, 1000, holds)], [1, 2, 3]);
  games = 0;
  assert.ok((await shrink(tape, 10, holds)).length < tape.length);
  assert.equal(games, 10);
});

Deno.test("changed tapes stay small, and leave those of the corpus as they are", () => {
  const chance = new Chance(1);
  const corpus = [new Uint8Array(0), new Uint8Array(4000).fill(5), new Uint8Array(10).fill(6)];
  const lengths = new Set<number>();
  for (let i = 0; i < 2000; i++) {
    const tape = mutate(corpus, chance);
    assert.ok(tape.length <= 4096);
    lengths.add(tape.length);
  }
  assert.ok(lengths.size > 100);
  assert.ok(corpus[1].every((byte) => byte === 5) && corpus[2].every((byte) => byte === 6));
  assert.ok(mutate([], chance).length >= 0);
});
