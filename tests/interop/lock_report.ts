import assert from "node:assert/strict";
import type { Attempt } from "../../src/sandbox/mod.ts";
import { workerEnvironment } from "../../src/sandbox/mod.ts";

/**
 * Runs a real worker on a terminal with somebody who answers "y" to whatever is asked, and asserts that after its
 * set-up it can do nothing through the runtime.
 *
 * @param worker the shell words that become a worker; its kind and options follow
 */
export async function assertLockedOnTerminal(worker: string): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  // A worker takes any connected socket; bash can make one.
  const script =
    `exec 3<>/dev/tcp/127.0.0.1/${listener.addr.port}; exec ${worker} rng --fd 3 --report`;
  const child = new Deno.Command("script", {
    args: ["-qec", `bash -c '${script}'`, "/dev/null"],
    env: { ...workerEnvironment(), TERM: "dumb" },
    ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
  }).spawn();
  const keyboard = child.stdin.getWriter();
  const typing = setInterval(() => {
    keyboard.write(new TextEncoder().encode("y\n")).catch(() => {});
  }, 200);
  const [connection, { stdout }] = await Promise.all([listener.accept(), child.output()]);
  connection.close();
  clearInterval(typing);
  await keyboard.close().catch(() => {});
  const text = new TextDecoder().decode(stdout).replaceAll(/\r?\n/g, "");
  const found = /REPORT (\{.*\}) END/.exec(text)?.[1];
  assert.ok(found, `no report in ${text}`);
  const { left, attempts } = JSON.parse(found) as { left: string[]; attempts: Attempt[] };
  assert.deepEqual(left, []);
  assert.ok(attempts.length > 15);
  assert.deepEqual(attempts.filter(({ outcome }) => outcome !== "refused"), []);
}
