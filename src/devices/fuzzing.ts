/** For fuzz tests of devices: what a game may not leave behind. */

import assert from "node:assert/strict";
import type { Dice } from "../../tests/fuzz/mod.ts";
import { window } from "./testing.ts";

const PLACE = 2 ** 26;

/** Where there is a large place in the window: elsewhere than before when something was left there. */
function windowMark(): number {
  const at = window.allocate(PLACE);
  window.free(at, PLACE);
  return at;
}

/** A game after which nothing may be left in the window. */
export function tidy(play: (dice: Dice) => number): (dice: Dice) => number {
  return (dice) => {
    const mark = windowMark();
    const turns = play(dice);
    assert.equal(windowMark(), mark, "something is left in the window");
    return turns;
  };
}
