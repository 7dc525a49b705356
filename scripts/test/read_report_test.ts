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
      Deno.test("c", () => { throw new Error("no"); });
      Deno.test({ name: "d (needs x)", ignore: true, fn() {} });
    `),
  );
  assert.equal(report?.passed, 2);
  assert.equal(report?.failed, 1);
  assert.equal(report?.ignored.length, 1);
  assert.match(report?.ignored[0] ?? "", /_test\.ts: d \(needs x\)$/);
});

Deno.test("a run that did not come to its end has no summary", async () => {
  const ended = await outputOf(
    `Deno.test("a", () => {}); Deno.test("b", () => { Deno.kill(Deno.pid, "SIGKILL"); });`,
  );
  assert.equal(readReport(ended), undefined);
  assert.equal(readReport(await outputOf(`this is not a program`)), undefined);
  assert.equal(readReport(""), undefined);
});
