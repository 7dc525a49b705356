import { type Profiler, Session } from "node:inspector/promises";

/** Characters of the functions of the program that a game ran: 1 each, by function. */
export type Trace = ReadonlyMap<string, Uint8Array>;

/** What is measured: the program, not its tests and what is for tests. */
const PROGRAM =
  /\/src\/(?!.*(_test|_scene|\/testing|\/fuzz\w*|\/scripted_backend|\/fake_\w+)\.ts$)/;

/** The blocks of code that games ran, by V8's precise coverage. Begins before the program is loaded. */
export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Map<string, Uint8Array>();

  static async begin(): Promise<Coverage> {
    const coverage = new Coverage();
    coverage.#session.connect();
    await coverage.#session.post("Profiler.enable");
    await coverage.#session.post("Profiler.startPreciseCoverage", {
      callCount: true,
      detailed: true,
    });
    return coverage;
  }

  /** What ran since the last time. */
  async take(): Promise<Trace> {
    const { result } = await this.#session.post("Profiler.takePreciseCoverage");
    const trace = new Map<string, Uint8Array>();
    for (const { url, functions } of result) {
      if (!PROGRAM.test(url)) continue;
      for (const { ranges, functionName } of functions) {
        const ran = paint(ranges);
        const { startOffset, endOffset } = ranges[0];
        if (ran) trace.set(`${url}:${functionName}:${startOffset}-${endOffset}`, ran);
      }
    }
    return trace;
  }

  /** How many characters ran that never did before, nor in another game. */
  novelty(trace: Trace, other?: Trace): number {
    let count = 0;
    for (const [key, ran] of trace) {
      const seen = this.#seen.get(key), there = other?.get(key);
      for (let i = 0; i < ran.length; i++) if (ran[i] && !seen?.[i] && !there?.[i]) count++;
    }
    return count;
  }

  /** Remembers what ran. */
  add(trace: Trace): void {
    for (const [key, ran] of trace) {
      const seen = this.#seen.get(key);
      if (seen === undefined) this.#seen.set(key, ran.slice());
      else for (let i = 0; i < ran.length; i++) seen[i] |= ran[i];
    }
  }

  /** Begins anew. */
  forget(): void {
    this.#seen.clear();
  }

  /** How many functions were called, and characters in them run, of how many. */
  get summary(): { functions: number; ran: number; characters: number } {
    let ran = 0, characters = 0;
    for (const seen of this.#seen.values()) {
      characters += seen.length;
      for (const each of seen) ran += each;
    }
    return { functions: this.#seen.size, ran, characters };
  }
}

/** Ranges are nested, the outer ones first. Undefined when the function was not called. */
function paint(ranges: readonly Profiler.CoverageRange[]): Uint8Array | undefined {
  const [{ startOffset, endOffset, count }] = ranges;
  if (count === 0) return undefined;
  const ran = new Uint8Array(endOffset - startOffset);
  for (const { startOffset: from, endOffset: to, count } of ranges) {
    ran.fill(count > 0 ? 1 : 0, from - startOffset, to - startOffset);
  }
  return ran;
}
