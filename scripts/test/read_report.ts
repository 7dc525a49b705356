/** What a run of tests came to. */
export interface Report {
  readonly passed: number;
  readonly failed: number;
  /** Names of the tests that were left out, each with its file. */
  readonly ignored: readonly string[];
  /** What each failure was, as the runner tells it, without the stack; long ones shortened. */
  readonly failures: readonly string[];
}

/** `ok | 12 passed (3 steps) | 1 failed | 2 ignored (50ms)`, parts with 0 are left out except `failed` */
const SUMMARY = /^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/;
const FILE = /^running \d+ tests? from (\S+)/;
const IGNORED = /^(\S.*) \.\.\. ignored(?: \([^)]*\))?$/;
// deno-lint-ignore no-control-regex
const COLOURS = /\x1b\[[\d;]*m/g;

/** `NAME => FILE:LINE:COLUMN`, then its error, up to the lines of the stack. */
const FAILURE = /^(\S.* => \S+:\d+:\d+)\n([^]*?)^ +at /gm;
/** Lines of a failure that are shown of its beginning, and of its end. */
const SHOWN = 12;

/** Reads what `deno test` printed. Undefined when it did not come to its summary. */
export function readReport(output: string): Report | undefined {
  const ignored: string[] = [];
  let file = "";
  let report: Report | undefined;
  const text = output.replaceAll(COLOURS, "");
  for (const line of text.split("\n")) {
    file = FILE.exec(line)?.[1] ?? file;
    const name = IGNORED.exec(line)?.[1];
    if (name !== undefined) ignored.push(`${file}: ${name}`);
    const summary = SUMMARY.exec(line);
    // The last one counts: a test may itself run tests and show what they said.
    if (summary !== null) {
      const failures = summary[2] === "0" ? [] : readFailures(text);
      report = { passed: Number(summary[1]), failed: Number(summary[2]), ignored, failures };
    }
  }
  return report;
}

function readFailures(text: string): string[] {
  const [errors] = text.slice(text.lastIndexOf("\n ERRORS \n")).split("\n FAILURES \n");
  return [...errors.matchAll(FAILURE)].map(([, where, error]) => {
    const lines = error.trimEnd().split("\n");
    if (lines.length > 2 * SHOWN) lines.splice(SHOWN, lines.length - 2 * SHOWN, "[...]");
    return [where, ...lines].join("\n");
  });
}
