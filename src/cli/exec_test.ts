import assert from "node:assert/strict";
import { TestAgent } from "../agent/testing.ts";
import { ServedVm } from "../control/testing.ts";
import { root } from "../../scripts/root.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** The command line from source, as a process. */
function start(base: string, words: readonly string[], options: Partial<Deno.CommandOptions> = {}) {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--no-prompt", `${root}main.ts`, ...words],
    env: { XDG_RUNTIME_DIR: base, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...options,
  }).spawn();
}

async function run(base: string, words: readonly string[], input?: Uint8Array<ArrayBuffer>) {
  const child = start(base, words, { stdin: input === undefined ? "null" : "piped" });
  if (input !== undefined) await ReadableStream.from([input]).pipeTo(child.stdin);
  const { code, stdout, stderr } = await child.output();
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

/** Reads lines of a child until one matches. */
async function line(output: ReadableStream<Uint8Array>, pattern: RegExp): Promise<string> {
  const reader = output.getReader();
  let seen = "";
  while (!pattern.test(seen)) {
    const { value } = await reader.read();
    assert.ok(value !== undefined, seen);
    seen += decode(value);
  }
  reader.releaseLock();
  return seen;
}

Deno.test("exec and cp", async (t) => {
  await using served = await ServedVm.start({ name: "app" });
  await using agent = await TestAgent.start(served.vm.runtimeDir);
  const exec = (words: readonly string[], input?: Uint8Array<ArrayBuffer>) =>
    run(served.base, ["exec", ...words], input);

  await t.step("status, outputs, input, environment, directory", async () => {
    const { code, stdout, stderr } = await exec([
      ...["-e", "A=b", "--env", "C=d e", "-w", "/usr", "app", "sh", "-c"],
      "cat; echo $A $C $PWD $#; echo oops >&2; exit 5",
      ...["--", "-x", "--help"],
    ], encode("input "));
    assert.deepEqual([code, stdout, stderr], [5, "input b d e /usr 2\n", "oops\n"]);
  });
  await t.step("what cannot be run has a status of its own", async () => {
    const status = async (...words: string[]) => {
      const { code, stderr } = await exec(words);
      assert.match(stderr, code === 127 ? /no command no-such-command / : /^error: /m);
      return code;
    };
    assert.equal(await status("app", "--", "no-such-command"), 127);
    assert.equal(await status("app", "/etc/passwd"), 126);
    assert.equal(await status("--user", "nobodyatall", "app", "true"), 125);
    assert.equal(await status("apq", "true"), 125);
    assert.equal(await status("--nonsense", "app", "true"), 125);
    assert.equal(await status("app"), 125);
    await Deno.rename(agent.socket, `${agent.socket}.away`);
    assert.match((await exec(["app", "true"])).stderr, /has no vsock device.*Add \[vsock\]/);
    const deaf = Deno.listen({ transport: "unix", path: agent.socket });
    const { code, stderr } = await exec(["--timeout", "2", "app", "true"]);
    assert.equal(code, 125);
    assert.match(stderr, /waiting for the agent[^]*No agent answered in the guest within 2 s/);
    deaf.close();
    await Deno.rename(`${agent.socket}.away`, agent.socket);
  });
  await t.step("SIGTERM is the command's, and the third one leaves it", async () => {
    const child = start(served.base, ["exec", "app", "sh", "-c", "echo ready; exec sleep 100"]);
    await line(child.stdout, /ready/);
    child.kill("SIGTERM");
    assert.equal((await child.status).code, 143);
    await Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
    const deaf = start(served.base, [
      ...["exec", "app", "sh", "-c", "trap 'echo no' TERM; echo ready; while :; do sleep .1; done"],
    ]);
    await line(deaf.stdout, /ready/);
    for (let i = 0; i < 2; i++) {
      deaf.kill("SIGTERM");
      await line(deaf.stdout, /no/);
    }
    deaf.kill("SIGTERM");
    assert.equal((await deaf.status).code, 143);
    await Promise.all([deaf.stdout.cancel(), deaf.stderr.cancel()]);
  });
  await t.step("an agent that goes, and a VM that goes", async () => {
    const loses = async (lose: () => void) => {
      const child = start(served.base, ["exec", "app", "sh", "-c", "echo ready; sleep 100"]);
      await line(child.stdout, /ready/);
      lose();
      const { code } = await child.status;
      await child.stdout.cancel();
      return `${code} ${await new Response(child.stderr).text()}`;
    };
    assert.match(await loses(() => agent.drop()), /^125 error: .*its agent was killed/);
  });
  await t.step("cp both ways, and through standard streams", async () => {
    const dir = await Deno.makeTempDir();
    Deno.mkdirSync(`${dir}/tree/sub`, { recursive: true });
    Deno.writeTextFileSync(`${dir}/tree/sub/file`, "content");
    const cp = (...words: string[]) => run(served.base, ["cp", ...words]);
    assert.deepEqual(await cp(`${dir}/tree`, `app:${dir}/there`), {
      code: 0,
      stdout: "",
      stderr: "",
    });
    assert.equal((await cp(`app:${dir}/there`, `${dir}/back`)).code, 0);
    assert.equal(Deno.readTextFileSync(`${dir}/back/sub/file`), "content");
    assert.equal((await cp(`app:${dir}/there/sub/file`, "-")).stdout, "content");
    const piped = await run(served.base, ["cp", "-", `app:${dir}/piped`], encode("through a pipe"));
    assert.equal(piped.code, 0, piped.stderr);
    assert.equal(Deno.readTextFileSync(`${dir}/piped`), "through a pipe");
    assert.equal((await cp("app:/nowhere", dir)).code, 125);
    assert.equal((await cp(`${dir}/nowhere`, "app:/tmp")).code, 125);
    assert.match((await cp("a", "b")).stderr, /One of the two has to be in a VM/);
    await Deno.remove(dir, { recursive: true });
  });
  await t.step("the agent's program and unit", async () => {
    const path = await Deno.makeTempFile();
    const { code, stdout } = await run(served.base, ["guest", "agent", "--unit", "--output", path]);
    assert.equal(code, 0);
    assert.match(stdout, /^ExecStart=\/usr\/lib\/spectrum\/agent$/m);
    const info = await Deno.stat(path);
    assert.equal((info.mode ?? 0) & 0o777, 0o755);
    assert.ok(info.size < 1_000_000);
    await Deno.remove(path);
  });
});
