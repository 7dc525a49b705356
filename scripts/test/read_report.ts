/** What a run of tests came to. */
export interface Report {
  readonly passed: number;
  readonly failed: number;
  /** Names of the tests that were left out, each with its file. */
  readonly ignored: readonly string[];
}

/** `ok | 12 passed (3 steps) | 1 failed | 2 ignored (50ms)`, parts with 0 are left out except `failed` */
const SUMMARY = /^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/;
const FILE = /^running \d+ tests? from (\S+)/;
const IGNORED = /^(\S.*) \.\.\. ignored(?: \([^)]*\))?$/;
// deno-lint-ignore no-control-regex
const COLOURS = /\x1b\[[\d;]*m/g;

/** Reads what `deno test` printed. Undefined when it did not come to its summary. */
export function readReport(output: string): Report | undefined {
  const ignored: string[] = [];
  let file = "";
  let report: Report | undefined;
  for (const line of output.replaceAll(COLOURS, "").split("\n")) {
    file = FILE.exec(line)?.[1] ?? file;
    const name = IGNORED.exec(line)?.[1];
    if (name !== undefined) ignored.push(`${file}: ${name}`);
    const summary = SUMMARY.exec(line);
    // The last one counts: a test may itself run tests and show what they said.
    if (summary !== null) {
      report = { passed: Number(summary[1]), failed: Number(summary[2]), ignored };
    }
  }
  return report;
}
