// One target in a process of its own, which a game may crash or hang: TARGET seconds|turns N. The tape that is being
// played is in a file meanwhile.
import { SEED } from "../../tests/fuzz/chance.ts";
import { currentTape, writeFound } from "../../tests/fuzz/corpus.ts";
import { playAtRandom, PromiseBroken } from "../../tests/fuzz/fuzz.ts";
import { Player } from "../../tests/fuzz/player.ts";
import { Coverage } from "./coverage.ts";
import { Exploration } from "./explore.ts";
import { loadTarget } from "./find_targets.ts";

const [name, unit, amount] = Deno.args;
const file = currentTape(name);
const watch = (tape: Uint8Array) => Deno.writeFileSync(file, tape);
const began = performance.now();
const elapsed = () => `${((performance.now() - began) / 1000).toFixed(0)} s`;
const failed = (tape: string, why: unknown) => {
  console.log(`${name}: deno task fuzz ${name} --replay ${tape}`, why);
  Deno.exitCode = 1;
};

// Before the program is loaded.
const coverage = unit === "seconds" ? await Coverage.begin() : undefined;
const target = await loadTarget(name);
if (target.ignore === true) {
  console.log(`${name}: cannot be played here`);
} else if (coverage === undefined) {
  try {
    const turns = await playAtRandom(new Player(target), Number(amount), watch);
    console.log(`${name}: ${turns} turns in ${elapsed()}, SPECTRUM_SEED=${SEED}`);
  } catch (error) {
    if (!(error instanceof PromiseBroken)) throw error;
    failed(error.file, error.cause);
  }
} else {
  const { games, turns, tapes, bytes, broken } = await new Exploration(target, coverage, watch)
    .run(Number(amount));
  const { functions, ran, characters } = coverage.summary;
  const share = (100 * ran / Math.max(1, characters)).toFixed(1);
  console.log(
    `${name}: ${games} games of ${turns} turns in ${elapsed()}; ${tapes} tapes of ${bytes} bytes ` +
      `reach ${functions} functions, and ${share} % of what is in them`,
  );
  for (const [message, tape] of broken) failed(writeFound(name, tape), message);
}
