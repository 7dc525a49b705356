import assert from "node:assert/strict";
import { AgentError, copyFromGuest, copyToGuest } from "../../agent/mod.ts";
import { TestAgent } from "../../agent/testing.ts";

/** What lies in a folder: modes, times, links and contents by path. */
function listing(folder: string, prefix = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { name } of Deno.readDirSync(folder)) {
    const path = `${folder}/${name}`;
    const info = Deno.lstatSync(path);
    const mode = ((info.mode ?? 0) & 0o777).toString(8);
    const time = info.isSymlink ? "" : ` ${info.mtime?.toISOString()}`;
    const content = info.isSymlink
      ? `-> ${Deno.readLinkSync(path)}`
      : info.isFile
      ? `${Deno.readFileSync(path).length} ${Deno.readTextFileSync(path).slice(0, 20)}`
      : "folder";
    found[prefix + name] = info.isSymlink ? content : `${mode}${time} ${content}`;
    if (info.isDirectory) Object.assign(found, listing(path, `${prefix}${name}/`));
  }
  return found;
}

function makeTree(folder: string): void {
  Deno.mkdirSync(`${folder}/sub/deeper`, { recursive: true });
  Deno.writeTextFileSync(`${folder}/a file`, "hello", { mode: 0o640 });
  Deno.writeFileSync(`${folder}/sub/large`, new Uint8Array(3_000_000).fill(65));
  Deno.writeTextFileSync(`${folder}/sub/deeper/run`, "#!/bin/sh\n", { mode: 0o755 });
  Deno.symlinkSync("../a file", `${folder}/sub/link`);
  Deno.symlinkSync("/nowhere", `${folder}/dangling`);
  const then = new Date("2001-02-03T04:05:06.789Z");
  Deno.utimeSync(`${folder}/a file`, then, then);
  Deno.chmodSync(`${folder}/sub/deeper`, 0o511);
  Deno.utimeSync(`${folder}/sub`, then, then);
}

Deno.test("copies to and from a guest", async (t) => {
  await using agent = await TestAgent.start();
  const base = await Deno.makeTempDir();
  const guest = `${base}/guest`, host = `${base}/host`;
  Deno.mkdirSync(guest);
  makeTree(host);
  const to = async (
    ...[from, to, options]: [string | ReadableStream<Uint8Array>, string, object?]
  ) => await copyToGuest(await agent.connect(), from, to, options);
  const from = async (from: string, to: string | WritableStream<Uint8Array>, options = {}) =>
    await copyFromGuest(await agent.connect(), from, to, options);

  await t.step("a tree there and back, under a new name and into a folder", async () => {
    await to(host, `${guest}/tree`);
    assert.deepEqual(listing(`${guest}/tree`), listing(host));
    await from(`${guest}/tree`, `${base}/back`);
    assert.deepEqual(listing(`${base}/back`), listing(host));
    Deno.mkdirSync(`${base}/into`);
    await from(`${guest}/tree`, `${base}/into`);
    assert.deepEqual(listing(`${base}/into/tree`), listing(host));
    await to(host, guest);
    assert.deepEqual(listing(`${guest}/host`), listing(host));
    // Onto what is already there.
    await to(host, guest);
    await from(`${guest}/tree`, `${base}/into`);
    assert.deepEqual(listing(`${base}/into/tree`), listing(host));
  });
  await t.step("a file, by link, name and stream", async () => {
    await from(`${guest}/tree/sub/link`, `${base}/one`);
    assert.equal(Deno.readTextFileSync(`${base}/one`), "hello");
    await to(ReadableStream.from([new TextEncoder().encode("streamed")]), `${guest}/streamed`);
    assert.equal(Deno.readTextFileSync(`${guest}/streamed`), "streamed");
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const [text] = await Promise.all([
      new Response(readable).text(),
      from(`${guest}/streamed`, writable),
    ]);
    assert.equal(text, "streamed");
  });
  await t.step("what cannot be copied", async () => {
    const fails = async (copy: Promise<unknown>, reason: RegExp) =>
      await assert.rejects(copy, (error) => {
        assert.ok(error instanceof AgentError, String(error));
        assert.match(error.message, reason);
        return true;
      });
    await fails(from("/nowhere/x", base), /Cannot read \/nowhere\/x/);
    await fails(from(`${guest}/streamed`, `${base}/no/such/place`), /There is no folder/);
    await fails(to(`${host}/a file`, "/nowhere/x"), /\/nowhere/);
    await fails(to(`${host}/sub/large`, "/dev/full"), /Cannot write full/);
    await fails(to(host, `${guest}/streamed`), /make the folder|enter/);
    await assert.rejects(to(`${base}/nothing`, guest), Deno.errors.NotFound);
    await new Deno.Command("mkfifo", { args: [`${guest}/tree/pipe`] }).output();
    const skipped: string[] = [];
    const onSkip = (path: string) => skipped.push(path);
    await from(`${guest}/tree`, `${base}/skipping`, { onSkip });
    assert.deepEqual(skipped, ["pipe"]);
  });
  await t.step("links in the guest lead a copy nowhere", async () => {
    Deno.mkdirSync(`${guest}/trap`);
    Deno.mkdirSync(`${base}/outside`);
    Deno.symlinkSync(`${base}/outside`, `${guest}/trap/sub`);
    Deno.symlinkSync(`${base}/outside/file`, `${guest}/trap/a file`);
    Deno.mkdirSync(`${base}/source/trap/sub`, { recursive: true });
    Deno.writeTextFileSync(`${base}/source/trap/a file`, "x");
    Deno.writeTextFileSync(`${base}/source/trap/sub/evil`, "x");
    await assert.rejects(to(`${base}/source/trap`, guest), AgentError);
    assert.deepEqual(listing(`${base}/outside`), {});
  });
  await t.step({
    name: "as a user of the guest",
    ignore: Deno.uid() !== 0,
    fn: async () => {
      Deno.chmodSync(base, 0o755);
      Deno.mkdirSync(`${guest}/theirs`);
      Deno.chownSync(`${guest}/theirs`, 1, 1);
      await to(host, `${guest}/theirs`, { user: "daemon" });
      assert.equal(Deno.statSync(`${guest}/theirs/host/a file`).uid, 1);
      await assert.rejects(to(host, guest, { user: "nobody" }), AgentError);
      Deno.chmodSync(`${host}/a file`, 0o600);
      await assert.rejects(from(`${host}/a file`, base, { user: "daemon" }), AgentError);
    },
  });
  await Deno.remove(base, { recursive: true });
});
