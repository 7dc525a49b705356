import assert from "node:assert/strict";
import { Patience } from "./patience.ts";

Deno.test("patience runs out when nothing comes, and is tried again now and then", () => {
  const patience = new Patience(128);
  for (let looks = 128; looks > 0; looks >>= 1) {
    assert.equal(patience.begin(), looks);
    patience.inVain();
  }
  let opportunities = 1;
  while (patience.begin() === 0) opportunities++;
  assert.equal(opportunities, 32);
  patience.inVain();
  assert.equal(patience.begin(), 0);
});

Deno.test("patience is whole again when something came", () => {
  const patience = new Patience(128);
  patience.inVain();
  assert.equal(patience.begin(), 64);
  patience.paid();
  assert.equal(patience.begin(), 128);
});
