// `deno task test [--only KIND[,KIND]] [ARGUMENTS OF deno test]`: everything that is checked, like CI does it.
// The last line is `N passed, N failed`.
import { ready } from "./ready.ts";
import { beginKernels } from "./test/build_kernels.ts";
import type { Report } from "./test/read_report.ts";
import { runSuite } from "./test/run_suite.ts";
import { Screen } from "./test/screen.ts";
import { kinds, stages } from "./test/suites.ts";

const [chosen, more] = parse(Deno.args.filter((word) => word !== "--"));
await ready(...chosen.flatMap(([, { purposes }]) => purposes));
if (chosen.some(([name]) => name === "lab")) beginKernels();
const reports: [string, Report][] = [];
for (const stage of stages) {
  const lanes = stage.map((names) => {
    const screen = new Screen();
    return { screen, ended: run(chosen.filter(([name]) => names.includes(name)), screen) };
  });
  for (const { screen, ended } of lanes) {
    screen.show();
    reports.push(...await ended);
  }
}

console.log("\n== Summary");
for (const [name, { passed, failed, ignored }] of reports) {
  console.log(`${failed === 0 ? "ok  " : "FAIL"} ${name}: ${passed} passed, ${failed} failed`);
  for (const test of ignored) console.log(`     left out: ${test}`);
}
for (const [name, { failures }] of reports) {
  for (const failure of failures) console.log(`\n${name}: ${failure}`);
}
const sum = (key: "passed" | "failed") =>
  reports.reduce((total, [, report]) => total + report[key], 0);
console.log(`${sum("passed")} passed, ${sum("failed")} failed`);
Deno.exit(sum("failed") === 0 ? 0 : 1);

/** Runs kinds of tests one after the other. */
async function run(list: typeof chosen, screen: Screen): Promise<[string, Report][]> {
  const reports: [string, Report][] = [];
  for (const [name, { suites }] of list) {
    for (const suite of suites) {
      const words = suite.counts === "tests" ? more : [];
      const title = suite.name === name ? name : `${name} ${suite.name}`;
      reports.push([title, await runSuite(suite, words, screen)]);
    }
  }
  return reports;
}

function parse(args: string[]): [[string, typeof kinds[string]][], string[]] {
  if (args[0] !== "--only") {
    return [Object.entries(kinds).filter(([, { byHand }]) => !byHand), args];
  }
  const [, list = "", ...rest] = args;
  const names = list.split(",");
  const unknown = names.find((name) => !Object.hasOwn(kinds, name));
  if (unknown !== undefined) {
    console.error(`There is no kind of test "${unknown}", only ${Object.keys(kinds).join(", ")}.`);
    Deno.exit(1);
  }
  return [names.map((name) => [name, kinds[name]]), rest];
}
