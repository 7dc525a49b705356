import { Chance, SEED } from "./chance.ts";
import { readCorpus, writeFound } from "./corpus.ts";
import { Player } from "./player.ts";
import type { FuzzTarget } from "./target.ts";

/** Every target whose file was imported, by name. */
export const targets = new Map<string, FuzzTarget>();

/** A tape broke a promise. */
export class PromiseBroken extends Error {
  override readonly name = "PromiseBroken";
  constructor(target: string, readonly file: string, cause: unknown) {
    super(`deno task fuzz ${target} --replay ${file}`, { cause });
  }
}

/** Plays a tape; one that breaks the promise is kept. @throws {PromiseBroken} */
async function attempt(player: Player, tape: Uint8Array): Promise<number> {
  try {
    return await player.play(tape);
  } catch (error) {
    const { name } = player.target;
    throw new PromiseBroken(name, writeFound(name, tape), error);
  }
}

/**
 * Plays tapes of chance until there were so many turns. Returns how many there were.
 *
 * @param watch is shown each tape before it is played
 * @throws {PromiseBroken}
 */
export async function playAtRandom(
  player: Player,
  turns: number,
  watch: (tape: Uint8Array) => void = () => {},
): Promise<number> {
  const chance = new Chance(SEED);
  let done = 0;
  while (done < turns) {
    const tape = chance.tape(player.target.tapeLength);
    watch(tape);
    done += Math.max(1, await attempt(player, tape));
  }
  return done;
}

/** A test that plays a target's corpus, and then tapes of chance; `deno task fuzz` finds the target, too. */
export function fuzzTest(target: FuzzTarget): void {
  targets.set(target.name, target);
  Deno.test({
    name: `${target.name}: ${target.promise}`,
    ignore: target.ignore ?? false,
    async fn() {
      const player = new Player(target);
      const kept = readCorpus(target.name);
      for (const { tape } of kept) await attempt(player, tape);
      const turns = await playAtRandom(player, target.turns);
      target.reached?.();
      console.log(`${kept.length} kept tapes, ${turns} turns at random, SPECTRUM_SEED=${SEED}`);
    },
  });
}
