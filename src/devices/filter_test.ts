import assert from "node:assert/strict";
import { workerFlags } from "../os/mod.ts";

const program = new URL("./testdata/filtered_worker.ts", import.meta.url).pathname;

async function filtered(others: "kill" | "report") {
  const { code, signal, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", ...workerFlags, program, others],
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, signal, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("a process dies of a system call that its policy lacks", async () => {
  assert.deepEqual(await filtered("kill"), {
    code: 128 + 31,
    signal: "SIGSYS",
    stdout: "locked\n",
    stderr: "",
  });
});

Deno.test("one that is to report it names the call and its arguments, and ends all the same", async () => {
  const { code, signal, stdout, stderr } = await filtered("report");
  assert.deepEqual({ code, signal, stdout }, { code: 128 + 31, signal: null, stdout: "locked\n" });
  const O_CLOEXEC = "0x80000";
  assert.match(
    stderr,
    new RegExp(`^not in its policy: pipe2\\(0x[0-9a-f]+, ${O_CLOEXEC}, .*\\), number 293\n$`),
  );
});
