import { isRegression, readCorpus, replaceCorpus } from "../../tests/fuzz/corpus.ts";
import { Chance, type FuzzTarget } from "../../tests/fuzz/mod.ts";
import { Player } from "../../tests/fuzz/player.ts";
import { SEED } from "../../tests/fuzz/chance.ts";
import type { Coverage, Trace } from "./coverage.ts";
import { mutate } from "./mutate.ts";
import { shrink } from "./shrink.ts";

/** Games that making a tape shorter may cost. */
const TRIES = { kept: 24, found: 300 } as const;

/** What there is to tell of an exploration. */
export interface Findings {
  readonly games: number;
  readonly turns: number;
  /** Tapes of the corpus afterwards, and their bytes. */
  readonly tapes: number;
  readonly bytes: number;
  /** Messages of promises that were broken, each with its tape. */
  readonly broken: ReadonlyMap<string, Uint8Array>;
}

/** What an exploration tells before each game. */
export type Watcher = (tape: Uint8Array) => void;

/** Changes the tapes of a target's corpus, and keeps those that reach new code. */
export class Exploration {
  readonly #chance = new Chance(SEED);
  readonly #player: Player;
  readonly #kept: { readonly tape: Uint8Array; readonly trace: Trace }[] = [];
  /** Of tapes that stay, whatever they reach. */
  readonly #standing: Trace[] = [];
  readonly #broken = new Map<string, Uint8Array>();
  #games = 0;
  #turns = 0;

  constructor(
    private readonly target: FuzzTarget,
    private readonly coverage: Coverage,
    private readonly watcher: Watcher,
  ) {
    this.#player = new Player(target);
  }

  /** Goes on for so long, and writes the corpus. */
  async run(seconds: number): Promise<Findings> {
    const end = performance.now() + 1000 * seconds;
    // What happens only once in a process is no tape's merit.
    await this.#play(new Uint8Array(0));
    for (const kept of readCorpus(this.target.name)) {
      if (isRegression(kept)) await this.#keepForGood(kept.tape);
      else await this.#try(kept.tape);
    }
    while (performance.now() < end) {
      await this.#try(mutate(this.#kept.map(({ tape }) => tape), this.#chance));
    }
    const tapes = this.#fewest();
    replaceCorpus(this.target.name, tapes);
    return {
      games: this.#games,
      turns: this.#turns,
      tapes: tapes.length,
      bytes: tapes.reduce((sum, { length }) => sum + length, 0),
      broken: this.#broken,
    };
  }

  /** What a game ran, or the message of the promise that it broke. */
  async #play(tape: Uint8Array): Promise<Trace | string> {
    this.watcher(tape);
    this.#games++;
    try {
      this.#turns += await this.#player.play(tape);
    } catch (error) {
      await this.coverage.take();
      return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    }
    return await this.coverage.take();
  }

  async #try(tape: Uint8Array): Promise<void> {
    const outcome = await this.#play(tape);
    if (typeof outcome === "string") return await this.#break(outcome, tape);
    if (this.coverage.novelty(outcome) === 0) return;
    let trace = outcome;
    const shorter = await shrink(tape, TRIES.kept, async (shorter) => {
      const reached = await this.#play(shorter);
      if (typeof reached === "string" || this.coverage.novelty(outcome, reached) > 0) return false;
      trace = reached;
      return true;
    });
    this.coverage.add(trace);
    this.#kept.push({ tape: shorter, trace });
  }

  async #keepForGood(tape: Uint8Array): Promise<void> {
    const outcome = await this.#play(tape);
    if (typeof outcome === "string") return await this.#break(outcome, tape);
    this.#standing.push(outcome);
    this.coverage.add(outcome);
  }

  /** Once for each way to break a promise. */
  async #break(message: string, tape: Uint8Array): Promise<void> {
    const kind = kindOf(message);
    if ([...this.#broken.keys()].some((known) => kindOf(known) === kind)) return;
    const shorter = await shrink(tape, TRIES.found, async (shorter) => {
      const outcome = await this.#play(shorter);
      return typeof outcome === "string" && kindOf(outcome) === kind;
    });
    this.#broken.set(message, shorter);
  }

  /** Tapes that reach all that was reached: those that reach most first, and none that adds nothing to them. */
  #fewest(): Uint8Array[] {
    const { coverage } = this;
    coverage.forget();
    for (const trace of this.#standing) coverage.add(trace);
    const reach = new Map(this.#kept.map((each) => [each, coverage.novelty(each.trace)]));
    const ranking = this.#kept.toSorted((a, b) => (reach.get(b) ?? 0) - (reach.get(a) ?? 0));
    return ranking.filter(({ trace }) => {
      const adds = coverage.novelty(trace) > 0;
      if (adds) coverage.add(trace);
      return adds;
    }).map(({ tape }) => tape);
  }
}

/** Messages that begin alike, whatever the numbers, tell of the same thing. */
const kindOf = (message: string) => message.replace(/\d+/g, "#").slice(0, 60);
