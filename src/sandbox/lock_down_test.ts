import assert from "node:assert/strict";
import {
  type Fd,
  memfd,
  payload,
  Reactor,
  receiveMessage,
  socketPair,
  workerFlags,
} from "../os/mod.ts";
import { type Attempt, type Child, Starter, workerEnvironment } from "./mod.ts";

const program = new URL("./testdata/locked_worker.ts", import.meta.url).pathname;

interface Report {
  works: boolean;
  left: string[];
  attempts: Attempt[];
}

function reportIn(text: string): Report {
  const found = /REPORT (\{.*\}) END/.exec(text.replaceAll(/\r?\n/g, ""))?.[1];
  assert.ok(found, `no report in ${text}`);
  return JSON.parse(found);
}

function assertLocked(report: Report): void {
  assert.equal(report.works, true);
  assert.deepEqual(report.left, []);
  assert.ok(report.attempts.length > 15);
  assert.deepEqual(report.attempts.filter(({ outcome }) => outcome !== "refused"), []);
}

async function onTerminal(flags: readonly string[], input: string): Promise<Report> {
  const command = [Deno.execPath(), "run", ...flags, program].join(" ");
  const child = new Deno.Command("script", {
    args: ["-qec", command, "/dev/null"],
    env: { ...workerEnvironment(), TERM: "dumb" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  // Keeps answering whatever is asked, as a person would.
  const typing = setInterval(
    () => writer.write(new TextEncoder().encode(input)).catch(() => {}),
    200,
  );
  const { stdout } = await child.output();
  clearInterval(typing);
  await writer.close().catch(() => {});
  return reportIn(new TextDecoder().decode(stdout));
}

/** A locked worker that stays, started as the monitor starts its workers. */
async function lockedWorker(
  starter: Starter,
  given: Fd,
): Promise<{ child: Child; report: Report }> {
  const [ours, theirs] = socketPair();
  using _ours = ours;
  const child = await starter.start({
    argv: [Deno.execPath(), "run", ...workerFlags, program, "stay"],
    env: workerEnvironment(),
    descriptors: [{ fd: theirs, as: 1 }, { fd: given, as: 3 }],
  });
  theirs[Symbol.dispose]();
  const buffer = new Uint8Array(65536);
  let text = "";
  while (!text.includes(" END")) {
    const { length } = receiveMessage(ours, buffer, 0);
    assert.ok(length > 0, `it ended: ${text}`);
    text += new TextDecoder().decode(buffer.subarray(0, length));
  }
  return { child, report: reportIn(text) };
}

Deno.test("a locked worker can do nothing through the runtime, and what it loaded goes on", async () => {
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  using memory = memfd("given", 4096);
  const { child, report } = await lockedWorker(starter, memory);
  assertLocked(report);
  const inspect = () => [...Deno.readDirSync(`/proc/${child.pid}/fd`)];
  if (Deno.uid() === 0) {
    // Beside what it was given, nothing that it holds has a path: no cache, no database, no log.
    const links = inspect().map(({ name }) => Deno.readLinkSync(`/proc/${child.pid}/fd/${name}`));
    const paths = links.filter((link) => link.startsWith("/"));
    const known = new Set([
      "/dev/null",
      "/memfd:given (deleted)",
      Deno.readLinkSync("/proc/self/fd/2"),
    ]);
    assert.deepEqual(paths.filter((path) => !known.has(path)), []);
    assert.ok(links.includes("/memfd:given (deleted)"));
  } else {
    // Not dumpable: the same user cannot look into it.
    assert.throws(inspect, Deno.errors.PermissionDenied);
  }
  child.kill();
  await child.exited;
  await starter.close();
});

Deno.test("SIGUSR1 opens no inspector in a worker, from its first instruction on", async () => {
  const listening = () => Deno.readTextFileSync("/proc/net/tcp").includes(":240D ");
  assert.equal(listening(), false, "something uses the inspector's port already");
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  using memory = memfd("given", 4096);
  const [_ours, theirs] = socketPair();
  using _closed = _ours;
  const child = await starter.start({
    argv: [Deno.execPath(), "run", ...workerFlags, program, "stay"],
    env: workerEnvironment(),
    descriptors: [{ fd: theirs, as: 1 }, { fd: memory, as: 3 }],
  });
  theirs[Symbol.dispose]();
  let ended = false;
  child.exited.then(() => ended = true);
  for (let i = 0; i < 150 && !ended; i++) {
    child.kill(10);
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(listening(), false, `after ${i * 10} ms`);
  }
  assert.equal(ended, false, "the signal did not end it either");
  child.kill();
  await child.exited;
  await starter.close();
});

Deno.test("on a terminal, with somebody who answers yes, it stays locked", async () => {
  assertLocked(await onTerminal(workerFlags, "y\n"));
});

Deno.test("it is --no-prompt that keeps it so: without, a yes gives a permission back", async () => {
  const flags = workerFlags.filter((flag) => flag !== "--no-prompt");
  const { attempts } = await onTerminal(flags, "y\n");
  assert.ok(attempts.some(({ outcome }) => outcome === "allowed"), JSON.stringify(attempts));
});

Deno.test("the payload starts workers without prompts and with one permission", () => {
  const flags = payload().device.filter((argument) => argument.startsWith("--"));
  assert.ok(flags.includes("--no-prompt"));
  assert.deepEqual(flags.filter((flag) => flag.startsWith("--allow")), ["--allow-ffi"]);
  assert.equal(flags.includes("-A"), false);
});
