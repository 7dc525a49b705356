/** One line of a benchmark's result: what we do, beside what a peer does with the same work. */
export interface Measurement {
  /** What was measured, stable between versions: results are compared by it. */
  readonly name: string;
  readonly unit: string;
  /** Which way is good. */
  readonly better: "more" | "less";
  /** Median of our runs. */
  readonly ours: number;
  /** Median of the peer's runs, where there is a peer. */
  readonly peer?: number;
  readonly peerName?: string;
  /** `ours / peer`, whichever way is good. */
  readonly ratio?: number;
  /** How many runs each side had. */
  readonly runs: number;
  /** (largest - smallest) / median, of each side. */
  readonly spread: { readonly ours: number; readonly peer?: number };
}

/** What a benchmark comes to. */
export interface BenchResult {
  readonly measurements: readonly Measurement[];
  /** Sentences that a reader of the figures must know, such as what was left out and why. */
  readonly notes: readonly string[];
}

export interface BenchOptions {
  /** Runs of each side, when the user asks for a number. */
  readonly runs?: number;
  /** Tells the user what is going on; each text replaces the one before. */
  progress(text: string): void;
}

/** A benchmark: a program with a stable output, beside a peer that does the same work. Never an assertion. */
export interface Bench {
  readonly name: string;
  /** One line for the list of benchmarks. */
  readonly summary: string;
  run(options: BenchOptions): Promise<BenchResult>;
}

/** The middle of some values; of an even number of them, the mean of the two. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("There is no median of nothing");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** How far values lie apart, as a part of their median. */
export function spread(values: readonly number[]): number {
  const middle = median(values);
  return middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle;
}

/** A line from the values of all runs. */
export function compare(
  name: string,
  unit: string,
  better: Measurement["better"],
  ours: readonly number[],
  peer?: { readonly name: string; readonly values: readonly number[] },
): Measurement {
  const own = median(ours);
  const line = { name, unit, better, ours: own, runs: ours.length };
  if (peer === undefined) return { ...line, spread: { ours: spread(ours) } };
  const other = median(peer.values);
  return {
    ...line,
    peer: other,
    peerName: peer.name,
    ratio: own / other,
    spread: { ours: spread(ours), peer: spread(peer.values) },
  };
}
