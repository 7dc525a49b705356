import assert from "node:assert/strict";
import { readReport } from "./read_report.ts";

/** Runs `deno test` over a file of this text. */
async function outputOf(source: string): Promise<string> {
  const file = await Deno.makeTempFile({ suffix: "_test.ts" });
  try {
    await Deno.writeTextFile(file, source);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--no-check", "--no-lock", file],
      env: { FORCE_COLOR: "1" },
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(file);
  }
}

Deno.test("the runner's own summary is read, colours or not", async () => {
  const report = readReport(
    await outputOf(`
      Deno.test("a", async (t) => { await t.step("inner", () => {}); });
      Deno.test("b", () => { console.log("ok | 90 passed | 0 failed"); });
      Deno.test("c", async (t) => { await t.step("deep", () => { throw new Error("no\\n".repeat(99) + "end"); }); });
      Deno.test({ name: "d (needs x)", ignore: true, fn() {} });
      Deno.test({ name: "e", sanitizeOps: true, fn() { setTimeout(() => {}, 100_000); } });
    `),
  );
  assert.equal(report?.passed, 2);
  assert.equal(report?.failed, 2);
  assert.equal(report?.ignored.length, 1);
  assert.match(report?.ignored[0] ?? "", /_test\.ts: d \(needs x\)$/);
  const [error, leak, ...more] = report?.failures ?? [];
  assert.match(error, /^c \.\.\. deep => \S+_test\.ts:4:\d+\nerror: Error: no\n/);
  assert.match(error, /\[\.\.\.\][^]*\nend\n/);
  assert.ok(error.split("\n").length < 30, error);
  assert.match(leak, /^e => \S+_test\.ts:\d+:\d+\nerror: Leaks detected:\n[^]*timer/);
  assert.deepEqual(more, []);
});

Deno.test("an error outside of tests is told, too", async () => {
  const report = readReport(
    await outputOf(`
    Deno.test("a", () => {});
    throw new Error("nowhere");
  `),
  );
  assert.equal(report?.failed, 1);
  assert.match(
    report?.failures.join("\n") ?? "",
    /_test\.ts \(uncaught error\)\nerror: [^]*nowhere/,
  );
});

Deno.test("a run that did not come to its end has no summary", async () => {
  const ended = await outputOf(
    `Deno.test("a", () => {}); Deno.test("b", () => { Deno.kill(Deno.pid, "SIGKILL"); });`,
  );
  assert.equal(readReport(ended), undefined);
  assert.equal(readReport(await outputOf(`this is not a program`)), undefined);
  assert.equal(readReport(""), undefined);
});
