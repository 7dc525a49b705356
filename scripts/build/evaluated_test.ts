import assert from "node:assert/strict";
import { BuildError } from "./build_error.ts";
import { asScript, evaluated } from "./evaluated.ts";

async function run(bundle: string): Promise<void> {
  await import(`data:text/javascript,${encodeURIComponent(evaluated("some.js", bundle))}`);
}

Deno.test("an evaluated bundle is what it was as a module", async () => {
  await run(
    `let text = "\\"\\\\'\\n"; await null; globalThis.evaluatedBundle = [text, import.meta.url.slice(0, 5)];`,
  );
  const { evaluatedBundle } = globalThis as unknown as { evaluatedBundle: unknown[] };
  assert.deepEqual(evaluatedBundle, ["\"\\'\n", "data:"]);
});

Deno.test("an error in it is an error of the module, and names the bundle", async () => {
  await assert.rejects(run("await null; throw new Error('no')"), (error: Error) => {
    assert.match(error.stack ?? "", /some\.js/);
    return error.message === "no";
  });
  await assert.rejects(run("undeclared = 1"), ReferenceError);
});

Deno.test("what imports or exports something is refused", () => {
  for (const heavy of ['import a from "node:fs";', "a();export{a};", 'x;import "y"']) {
    assert.throws(() => evaluated("some.js", heavy), BuildError, heavy);
  }
  evaluated("some.js", 'const fs = await import("node:fs"); const important = { exported: 1 };');
});

Deno.test("a script for a thread tells its errors at once", () => {
  const run = (bundle: string) => (0, eval)(asScript("some.js", bundle));
  run("globalThis.evaluatedScript = import.meta.url;");
  assert.ok("evaluatedScript" in globalThis);
  assert.throws(() => run("undeclared = 1"), ReferenceError);
});
