/** Games in which everybody else is hostile: what a target of fuzzing is made of, and the corpus of all. */

export { Chance } from "./chance.ts";
export { Dice } from "./dice.ts";
export { fuzzTest } from "./fuzz.ts";
export { openNumbers } from "./player.ts";
export type { FuzzTarget } from "./target.ts";
