import assert from "node:assert/strict";
import { workerMessages } from "../../src/devices/mod.ts";
import { AsyncPeer, byteTransport } from "../../src/msg/mod.ts";
import { Reactor, read, socketPair } from "../../src/os/mod.ts";
import type { Attempt } from "../../src/sandbox/mod.ts";
import { workerEnvironment } from "../../src/sandbox/mod.ts";

/**
 * Runs a real worker on a terminal with somebody who answers "y" to whatever is asked, and asserts that after its
 * set-up it can do nothing through the runtime.
 *
 * @param worker the shell words that become a worker; its kind follows
 */
export async function assertLockedOnTerminal(worker: string): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  // A worker takes any stream for its message socket, as long as no descriptors are to come; bash can make one.
  const script = `exec 3<>/dev/tcp/127.0.0.1/${listener.addr.port}; exec ${worker} rng`;
  const child = new Deno.Command("script", {
    args: ["-qec", `bash -c '${script}'`, "/dev/null"],
    env: { ...workerEnvironment(), TERM: "dumb" },
    ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
  }).spawn();
  const keyboard = child.stdin.getWriter();
  const typing = setInterval(() => {
    keyboard.write(new TextEncoder().encode("y\n")).catch(() => {});
  }, 200);
  const output = child.output();
  const connection = await listener.accept();
  await connection.write(reportRequest());
  const { stdout } = await output;
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

/** The bytes of a set-up that asks for the report. */
function reportRequest(): Uint8Array {
  using reactor = new Reactor();
  const [ours, theirs] = socketPair();
  using _theirs = theirs;
  using peer = new AsyncPeer(byteTransport(ours), reactor, {
    calls: workerMessages,
    serves: {},
    handlers: {},
  });
  const setUp = { device: { kind: "rng" }, frontend: { how: "report" } } as const;
  // Nobody answers here: the worker has its end of another socket.
  peer.request("setUp", setUp).catch(() => {});
  const buffer = new Uint8Array(4096);
  return buffer.subarray(0, read(theirs, buffer));
}
