import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  AgentError,
  type GuestExecOptions,
  GuestProcess,
  powerOffGuest,
  runCommand,
  setGuestClock,
} from "../../agent/mod.ts";
import { TestAgent } from "../../agent/testing.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const isRoot = Deno.uid() === 0;

async function run(agent: TestAgent, command: readonly string[], options: GuestExecOptions = {}) {
  const process = await GuestProcess.start(await agent.connect(), command, options);
  const { stdout, stderr, ...status } = await runCommand(process, options);
  return { ...status, stdout: text(stdout), stderr: text(stderr) };
}

async function failureOf(agent: TestAgent, command: readonly string[], options = {}) {
  try {
    await run(agent, command, options);
  } catch (error) {
    if (error instanceof AgentError) return `${error.exitStatus} ${error.message}`;
    throw error;
  }
  assert.fail("it ran");
}

/** Reads a stream until what it has said matches. */
async function until(stream: ReadableStream<Uint8Array>, pattern: RegExp): Promise<string> {
  const reader = stream.getReader();
  let seen = "";
  while (!pattern.test(seen)) {
    const { value } = await reader.read();
    assert.ok(value !== undefined, `it ended after ${JSON.stringify(seen)}`);
    seen += text(value);
  }
  reader.releaseLock();
  return seen;
}

/** Waits until something holds. */
async function eventually(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(what);
}

function children(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  return Deno.readTextFileSync(path).trim().split(" ").filter((word) => word !== "").map(Number);
}

const exists = (pid: number) => {
  try {
    return !/^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
};

Deno.test("commands of an agent", async (t) => {
  await using agent = await TestAgent.start();

  await t.step("exit status and signals, as shells have them", async () => {
    assert.deepEqual(await run(agent, ["sh", "-c", "exit 7"]), {
      ...{ status: 7, stdout: "", stderr: "" },
    });
    assert.deepEqual(await run(agent, ["sh", "-c", "kill -SEGV $$"]), {
      ...{ status: 139, signal: "SIGSEGV", stdout: "", stderr: "" },
    });
  });
  await t.step("what cannot be run", async () => {
    assert.equal(
      await failureOf(agent, ["no-such-command"]),
      "127 There is no command no-such-command in the guest.",
    );
    assert.equal(
      await failureOf(agent, ["/etc/passwd"]),
      "126 Cannot run /etc/passwd in the guest: Permission denied.",
    );
    assert.match(await failureOf(agent, ["/etc"]), /^126 /);
    assert.match(await failureOf(agent, ["true"], { cwd: "/nowhere" }), /^125 .*\/nowhere/);
    assert.match(await failureOf(agent, ["true"], { user: "nobodyatall" }), /^125 .*such user/);
    assert.match(await failureOf(agent, []), /^125 /);
    assert.match(await failureOf(agent, ["x".repeat(200_000)]), /^125 .*longer/);
  });
  await t.step("outputs are apart, and every byte passes", async () => {
    const bytes = new Uint8Array(256).map((_, i) => i);
    const process = await GuestProcess.start(await agent.connect(), [
      "sh",
      "-c",
      "tee /dev/stderr",
    ]);
    const { stdout, stderr } = await runCommand(process, { input: bytes });
    assert.deepEqual([stdout, stderr], [bytes, bytes]);
  });
  await t.step("32 MiB through standard input", async () => {
    const input = new Uint8Array(32 << 20);
    for (let at = 0; at < input.length; at += 65_536) {
      crypto.getRandomValues(input.subarray(at, at + 65_536));
    }
    const { stdout } = await run(agent, ["sha256sum"], { input });
    assert.equal(stdout, `${createHash("sha256").update(input).digest("hex")}  -\n`);
  });
  await t.step("32 MiB of output", async () => {
    const process = await GuestProcess.start(await agent.connect(), [
      "sh",
      "-c",
      "head -c 33554432 /dev/zero; head -c 1048576 /dev/zero >&2",
    ]);
    const { stdout, stderr } = await runCommand(process, {});
    assert.deepEqual([stdout.length, stderr.length], [32 << 20, 1 << 20]);
  });
  await t.step("environment and working directory", async () => {
    const { stdout } = await run(agent, ["sh", "-c", 'echo "$A|$HOME|$PATH|$TERM|$PWD"'], {
      env: { A: "b=c d", HOME: "/elsewhere" },
      cwd: "/usr",
    });
    assert.match(stdout, /^b=c d\|\/elsewhere\|\/usr\/local\/sbin:[^|]*\|(dumb)?\|\/usr\n$/);
    const own = await run(agent, ["env"]);
    assert.deepEqual(own.stdout.split("\n").map((line) => line.replace(/=.*/, "")).sort(), [
      ...["", "HOME", "LOGNAME", "PATH", "SHELL", "USER"],
    ]);
  });
  await t.step({
    name: "users",
    ignore: !isRoot,
    fn: async () => {
      const id = async (user?: string) =>
        (await run(agent, ["sh", "-c", "id -u; id -g; id -G; echo $USER $HOME"], {
          user,
          cwd: "/",
        }))
          .stdout.split("\n").join(" ").trim();
      assert.equal(await id(), "0 0 0 root /root");
      assert.equal(await id("daemon"), "1 1 1 daemon /usr/sbin");
      assert.equal(await id("daemon:users"), "1 100 100 daemon /usr/sbin");
      assert.equal(await id("4321:17"), "4321 17 17 /");
    },
  });
  await t.step("signals reach the whole group", async () => {
    using process = await GuestProcess.start(await agent.connect(), [
      "sh",
      "-c",
      "trap 'echo got it; exit 3' USR1; echo ready; while :; do sleep 0.1; done",
    ]);
    await until(process.stdout, /ready/);
    process.kill("SIGUSR1");
    await until(process.stdout, /got it/);
    assert.deepEqual(await process.status, { status: 3 });
    const killed = await GuestProcess.start(await agent.connect(), ["sleep", "100"]);
    killed.kill();
    assert.deepEqual(await killed.status, { status: 143, signal: "SIGTERM" });
  });
  await t.step("who does not read holds up the command, not its signals", async () => {
    using process = await GuestProcess.start(await agent.connect(), [
      "sh",
      "-c",
      "trap 'exit 9' TERM; echo $$ >&2; while :; do echo; done",
    ]);
    const pid = Number(await until(process.stderr, /\n/));
    // It stops growing when pipe and windows are full.
    const written = () =>
      Number(/wchar: (\d+)/.exec(Deno.readTextFileSync(`/proc/${pid}/io`))?.[1]);
    let before = -1;
    await eventually(async () => {
      const stands = written() === before;
      before = written();
      await new Promise((resolve) => setTimeout(resolve, 100));
      return stands;
    }, "it never waits");
    assert.ok(written() < 3 << 20, `${written()} bytes are kept`);
    process.kill("SIGKILL");
    await eventually(() => !exists(pid), "the signal did not arrive");
    await process.stdout.cancel();
    assert.equal((await process.status).status, 137);
  });
  await t.step("input that nobody reads ends with the command", async () => {
    const process = await GuestProcess.start(await agent.connect(), [
      "sh",
      "-c",
      "exec <&-; sleep 0.3",
    ]);
    const writer = process.stdin.getWriter();
    await assert.rejects(async () => {
      for (;;) await writer.write(new Uint8Array(65_536));
    }, Deno.errors.BrokenPipe);
    assert.equal((await process.status).status, 0);
  });
  await t.step(
    "what a command leaves in its pipe arrives, and what it leaves behind is no matter",
    async () => {
      const started = performance.now();
      const { stdout } = await run(agent, [
        "sh",
        "-c",
        "head -c 60000 /dev/zero; sleep 5 & echo -n",
      ]);
      assert.equal(stdout.length, 60_000);
      assert.ok(performance.now() - started < 4000);
    },
  );
  await t.step("a terminal, its size, and its change", async () => {
    using process = await GuestProcess.start(await agent.connect(), [
      "sh",
      "-c",
      "stty size; trap 'stty size; exit' WINCH; tty <&2 >/dev/null && echo ready; while :; do sleep 0.1; done",
    ], { terminal: { rows: 33, columns: 99 } });
    assert.match(await until(process.stdout, /ready/), /^33 99\r\n/);
    process.resize({ rows: 44, columns: 111 });
    assert.match(await until(process.stdout, /111/), /44 111/);
    assert.deepEqual(await process.status, { status: 0 });
  });
  await t.step("a shell on a terminal: typing, Ctrl-C, the end of input", async () => {
    using process = await GuestProcess.start(await agent.connect(), ["sh"], {
      terminal: { rows: 24, columns: 80 },
      env: { PS1: "$ " },
    });
    const writer = process.stdin.getWriter();
    const type = (keys: string) => writer.write(new TextEncoder().encode(keys));
    await until(process.stdout, /\$ /);
    await type("sleep 100\r");
    await until(process.stdout, /sleep 100/);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await type("\x03");
    await until(process.stdout, /\$ /);
    await type("echo $((6 * 7)) $TERM\r");
    await until(process.stdout, /42 linux/);
    await writer.close();
    assert.equal((await process.status).status, 0);
  });
  await t.step("a connection that drops ends the command, and what it started", async () => {
    const process = await GuestProcess.start(await agent.connect(), [
      "sh",
      "-c",
      "trap '' HUP; sleep 1000 & echo $! $$; wait",
    ]);
    const pids = (await until(process.stdout, /\n/)).trim().split(" ").map(Number);
    process[Symbol.dispose]();
    await assert.rejects(process.status, AgentError);
    // Neither heeds SIGHUP, so that both have their five seconds.
    await eventually(() => pids.every((pid) => !exists(pid)), `${pids} live on`);
  });
  await t.step("an end of everything is told", async () => {
    const process = await GuestProcess.start(await agent.connect(), ["sleep", "1000"]);
    agent.drop();
    await assert.rejects(process.status, /connection to the guest's agent has ended/);
    await assert.rejects(new Response(process.stdout).text());
  });
  await t.step("an agent that is only tried leaves the machine alone", async () => {
    for (const ask of [powerOffGuest, setGuestClock]) {
      await assert.rejects(async () => await ask(await agent.connect()), /only tried/);
    }
  });
  await t.step("nothing is left of many commands", async () => {
    const descriptors = () => [...Deno.readDirSync(`/proc/${agent.pid}/fd`)].length;
    await eventually(() => children(agent.pid).length === 0, "sessions are left");
    const before = descriptors();
    const count = Number(Deno.env.get("SPECTRUM_EXEC_COMMANDS") ?? 500);
    let next = 0;
    await Promise.all(Array.from({ length: 8 }, async () => {
      for (let i = next++; i < count; i = next++) {
        assert.equal((await run(agent, ["sh", "-c", `echo ${i}`])).stdout, `${i}\n`);
      }
    }));
    await eventually(() => children(agent.pid).length === 0, "sessions are left");
    assert.equal(descriptors(), before);
  });
});
