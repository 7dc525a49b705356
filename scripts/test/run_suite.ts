import { root } from "../root.ts";
import { readReport, type Report } from "./read_report.ts";
import type { Screen } from "./screen.ts";
import type { Suite } from "./suites.ts";

const NOTHING: Report = { passed: 0, failed: 0, ignored: [], failures: [] };

/**
 * Runs one suite and shows what it prints. One that cannot run, hangs or ends with an error without having
 * said which test failed, has one failure.
 *
 * @param screen where it is shown
 */
export async function runSuite(
  suite: Suite,
  more: readonly string[],
  screen: Screen,
): Promise<Report> {
  screen.say(`\n== ${suite.name}`);
  const { code, signal, output } = await stream(suite, more, screen);
  const how = signal === null ? `status ${code}` : signal;
  if (suite.counts === "check") {
    return code === 0 ? { ...NOTHING, passed: 1 } : { ...NOTHING, failed: 1, failures: [how] };
  }
  const report = readReport(output);
  if (report !== undefined && (code === 0) === (report.failed === 0)) return report;
  const failure = `did not run to its end (${how})`;
  screen.say(`${suite.name}: ${failure}`);
  const { passed, failed, ignored, failures } = report ?? NOTHING;
  return { passed, failed: failed + 1, ignored, failures: [...failures, failure] };
}

async function stream(
  { args, paths, limit, name }: Suite,
  more: readonly string[],
  screen: Screen,
): Promise<Deno.CommandStatus & { output: string }> {
  const words = more.some(isPath) ? more : [...more, ...paths];
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args, ...words],
    cwd: root,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    ...(Deno.stdout.isTerminal() && !Deno.noColor ? { env: { FORCE_COLOR: "1" } } : {}),
  }).spawn();
  const timer = setTimeout(() => {
    screen.say(`${name}: not done after ${limit} minutes`);
    child.kill("SIGTERM");
  }, limit * 60_000);
  let output = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    screen.write(chunk);
    output += decoder.decode(chunk, { stream: true });
  }
  const status = await child.status;
  clearTimeout(timer);
  return { ...status, output };
}

function isPath(word: string): boolean {
  try {
    Deno.statSync(root + word);
    return true;
  } catch {
    return false;
  }
}
