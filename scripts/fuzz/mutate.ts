import { Buffer } from "node:buffer";
import type { Chance } from "../../tests/fuzz/mod.ts";

/** No longer than this: what is kept is small, and quick to play. */
const LONGEST = 4096;
const TELLING = [0, 1, 0x7f, 0x80, 0xff];

type Change = (tape: Uint8Array, chance: Chance, other: Uint8Array) => Uint8Array;

const flip: Change = (tape, chance) => set(tape, chance, (byte) => byte ^ (1 << chance.below(8)));
const replace: Change = (tape, chance) => set(tape, chance, () => chance.below(256));
const tell: Change = (tape, chance) => set(tape, chance, () => TELLING[chance.below(5)]);
const insert: Change = (tape, chance) => {
  const at = chance.below(tape.length + 1);
  return join(tape.subarray(0, at), chance.tape(1 + chance.below(16)), tape.subarray(at));
};
const remove: Change = (tape, chance) => {
  const at = chance.below(tape.length + 1);
  return join(tape.subarray(0, at), tape.subarray(at + 1 + chance.below(16)));
};
/** The game goes on. */
const append: Change = (tape, chance) => join(tape, chance.tape(1 << chance.below(11)));
/** Goes on as another one does. */
const splice: Change = (tape, chance, other) =>
  join(
    tape.subarray(0, chance.below(tape.length + 1)),
    other.subarray(chance.below(other.length + 1)),
  );

const CHANGES = [flip, replace, tell, insert, remove, append, splice];

/** A tape that differs from one of the corpus, or a new one. */
export function mutate(corpus: readonly Uint8Array[], chance: Chance): Uint8Array {
  const one = () => corpus[chance.below(corpus.length)];
  let tape = corpus.length === 0 || chance.below(20) === 0
    ? chance.tape(1 << chance.below(13))
    : one();
  for (let i = 1 + chance.below(4); i > 0; i--) {
    const other = corpus.length === 0 ? tape : one();
    tape = CHANGES[chance.below(CHANGES.length)](tape, chance, other);
  }
  return tape.slice(0, LONGEST);
}

function set(tape: Uint8Array, chance: Chance, how: (byte: number) => number): Uint8Array {
  const changed = tape.slice();
  if (changed.length === 0) return changed;
  const at = chance.below(changed.length);
  changed[at] = how(changed[at]);
  return changed;
}

const join = (...parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts));
