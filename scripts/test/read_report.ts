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

/** The end of an error: where it came from. */
const STACK = /(?:\n+ +at [^\n]*)*\n*$/;
/** Lines of a failure that are shown of its beginning, and of its end, and characters of each. */
const SHOWN = { lines: 12, characters: 200 };

/** Reads what `deno test` printed. Undefined when it did not come to its summary. */
export function readReport(output: string): Report | undefined {
  const ignored: string[] = [];
  let file = "";
  let counts: RegExpExecArray | null = null;
  const text = output.replaceAll(COLOURS, "");
  for (const line of text.split("\n")) {
    file = FILE.exec(line)?.[1] ?? file;
    const name = IGNORED.exec(line)?.[1];
    if (name !== undefined) ignored.push(`${file}: ${name}`);
    // The last one counts: a test may itself run tests and show what they said.
    counts = SUMMARY.exec(line) ?? counts;
  }
  if (counts === null) return undefined;
  const [passed, failed] = counts.slice(1).map(Number);
  return { passed, failed, ignored, failures: failed === 0 ? [] : readFailures(text) };
}

/** Two lists end the output: errors, each under its title, and the titles alone. */
function readFailures(text: string): string[] {
  const heading = "\n FAILURES \n\n", end = text.lastIndexOf(heading);
  if (end < 0) return [];
  const titles = text.slice(end + heading.length).split("\n\n", 1)[0].split("\n");
  const errors = text.slice(text.lastIndexOf(`\n ERRORS \n\n${titles[0]}\n`, end), end);
  let at = 0;
  const places = titles.map((title) => at = errors.indexOf(`\n${title}\n`, at));
  return places.map((place, i) => {
    const lines = errors.slice(place, places[i + 1]).trimStart().replace(STACK, "").split("\n")
      .map((line) => line.slice(0, SHOWN.characters));
    const more = lines.length - 2 * SHOWN.lines;
    if (more > 0) lines.splice(SHOWN.lines, more, "[...]");
    return lines.join("\n");
  });
}
