import assert from "node:assert/strict";
import { root } from "../root.ts";
import { examples } from "./suites.ts";

interface Declaration {
  readonly location: { readonly filename: string };
  readonly jsDoc?: { readonly tags?: readonly { readonly kind: string }[] };
}

Deno.test("every public symbol has an example, in a file whose examples are run", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", "mod.ts"],
    cwd: root,
  }).output();
  const { nodes }: {
    nodes: Record<string, { symbols: { name: string; declarations: Declaration[] }[] }>;
  } = JSON.parse(new TextDecoder().decode(stdout));
  const symbols = Object.values(nodes).flatMap((module) => module.symbols);
  assert.ok(symbols.length > 30, `${symbols.length} symbols`);
  for (const { name, declarations: [{ jsDoc, location }] } of symbols) {
    assert.ok(jsDoc?.tags?.some(({ kind }) => kind === "example"), `${name} has no example`);
    const file = new URL(location.filename).pathname.slice(root.length);
    assert.ok(examples.paths.includes(file), `the examples of ${file} are not run`);
  }
});
