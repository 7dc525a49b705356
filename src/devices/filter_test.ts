import assert from "node:assert/strict";
import { workerFlags } from "../os/mod.ts";

function command(program: string, argument: string): Deno.Command {
  const path = new URL(`./testdata/${program}`, import.meta.url).pathname;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", ...workerFlags, path, argument],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  });
}

async function run(program: string, argument: string) {
  const { code, signal, stdout, stderr } = await command(program, argument).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, signal, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("a process dies of a system call that its policy lacks", async () => {
  assert.deepEqual(await run("filtered_worker.ts", "kill"), {
    code: 128 + 31,
    signal: "SIGSYS",
    stdout: "locked\n",
    stderr: "",
  });
});

Deno.test("one that is to report it names the call and its arguments, and ends all the same", async () => {
  const { code, signal, stdout, stderr } = await run("filtered_worker.ts", "report");
  assert.deepEqual({ code, signal, stdout }, { code: 128 + 31, signal: null, stdout: "locked\n" });
  const O_CLOEXEC = "0x80000";
  assert.match(
    stderr,
    new RegExp(`^not in its policy: pipe2\\(0x[0-9a-f]+, ${O_CLOEXEC}, .*\\), number 293\n$`),
  );
});

for (const name of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
  Deno.test(`${name} ends such a process itself, and no filter does`, async () => {
    const child = command("filtered_worker.ts", "wait").spawn();
    const output = child.stdout.getReader();
    await output.read();
    child.kill(name);
    assert.equal((await child.status).signal, name);
    await output.cancel();
    await child.stderr.cancel();
  });
}

/** By hand 600. */
const BUSY_SECONDS = Number(Deno.env.get("SPECTRUM_BUSY_SECONDS") ?? 3);
/** Threads that the engine has just started meet the filter at any point of their own beginning. */
const STARTS = 20;

Deno.test("an engine that is busy, or has only begun, makes no system call beyond the policy", async () => {
  const good = { code: 0, signal: null, stdout: "true true\n", stderr: "" };
  for (let i = 0; i < STARTS; i++) assert.deepEqual(await run("busy_worker.ts", "20"), good);
  assert.deepEqual(await run("busy_worker.ts", String(BUSY_SECONDS * 1000)), good);
});
