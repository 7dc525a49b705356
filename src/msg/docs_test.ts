import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url);

Deno.test("the examples of the pages about descriptors and messages run, and their types hold", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--doc", "-A", "docs/descriptors.md", "docs/messages.md"],
    cwd: root,
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert.equal(code, 0, text);
  assert.match(text, /[5-9] passed/);
});
