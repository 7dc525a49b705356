import assert from "node:assert/strict";

Deno.test("no thread of a process that gave up paths opens one, but what was allowed", async () => {
  const folder = await Deno.makeTempDir();
  const program = new URL("testdata/restricted_process.ts", import.meta.url).pathname;
  for (let round = 0; round < 5; round++) {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", program, folder],
      env: { NO_COLOR: "1" },
    }).output();
    assert.equal(new TextDecoder().decode(stderr), "");
    const refused = "PermissionDenied";
    assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), {
      before: Array(4).fill("opened"),
      ...{ main: "EACCES", again: "EACCES", memory: "EACCES", write: "EACCES" },
      ...{ inside: "done", socket: "done", connected: "ECONNREFUSED" },
      early: Array(4).fill(refused),
      late: refused,
      pool: Array(20).fill("rejected"),
      workerInside: "opened",
    });
    await Deno.remove(`${folder}/socket`);
  }
  await Deno.remove(folder, { recursive: true });
});
