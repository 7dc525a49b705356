import assert from "node:assert/strict";
import {
  EventFd,
  type Fd,
  leakedDescriptors,
  memfd,
  openFile,
  payload,
  Reactor,
  reap,
  receiveMessage,
  sendMessage,
  socketPair,
  SocketType,
  spawnStarter,
  trackDescriptors,
} from "../os/mod.ts";
import { type Policy, Starter, StartError } from "./mod.ts";
import {
  AnswerPacket,
  encodePath,
  encodeStart,
  KillRequest,
  Request,
  StartHead,
} from "./starter_protocol.ts";

const shell = (script: string) => ["/bin/sh", "-c", script];

/** Runs with a starter and sees to it that it is gone afterwards. */
async function withStarter(body: (starter: Starter) => Promise<void>): Promise<void> {
  trackDescriptors();
  {
    using reactor = new Reactor();
    const starter = Starter.spawn(reactor);
    try {
      await body(starter);
    } finally {
      await starter.close();
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
  const leaks = leakedDescriptors();
  trackDescriptors(false);
  assert.deepEqual(leaks, []);
}

/** Nothing but another user. */
const nobody: Policy = {
  name: "nobody",
  user: { is: "nobody", why: "a test" },
  descriptors: [],
  namespaces: [],
  files: [],
  limits: [],
  measures: [],
  calls: [],
};

/** What a process writes to the descriptor that it gets as its output. */
async function outputOf(
  starter: Starter,
  argv: string[],
  options: {
    env?: Record<string, string>;
    descriptors?: { fd: Fd; as: number }[];
    program?: Fd;
  } = {},
): Promise<string> {
  const [ours, theirs] = socketPair();
  using _ours = ours;
  {
    using _theirs = theirs;
    await starter.start({ argv, env: {}, stderr: theirs, ...options });
  }
  const buffer = new Uint8Array(65536);
  let text = "";
  for (;;) {
    const { length } = receiveMessage(ours, buffer, 0);
    if (length <= 0) return text;
    text += new TextDecoder().decode(buffer.subarray(0, length));
  }
}

const alive = (pid: number) => {
  try {
    return !/^State:\s*Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
};

async function eventually(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(what);
}

Deno.test("a process has the descriptors it was given, at their numbers, and no others", async () => {
  await withStarter(async (starter) => {
    using memory = memfd("given", 4096);
    using event = EventFd.create();
    // Open here, and not for it; without close-on-exec, as a careless library would leave it.
    using careless = Deno.openSync("/etc/passwd");
    void careless;
    const child = await starter.start({
      argv: ["/bin/sleep", "60"],
      env: {},
      descriptors: [{ fd: memory, as: 7 }, { fd: event.fd, as: 3 }, { fd: memory, as: 150 }],
    });
    const open = new Map<string, string>();
    for (const { name } of Deno.readDirSync(`/proc/${child.pid}/fd`)) {
      open.set(name, Deno.readLinkSync(`/proc/${child.pid}/fd/${name}`));
    }
    assert.deepEqual([...open.keys()].map(Number).sort((a, b) => a - b), [0, 1, 2, 3, 7, 150]);
    assert.equal(open.get("0"), "/dev/null");
    assert.match(open.get("7") ?? "", /memfd:given/);
    assert.match(open.get("150") ?? "", /memfd:given/);
    assert.match(open.get("3") ?? "", /eventfd/);
    child.kill();
    assert.deepEqual(await child.exited, { signal: 9 });
  });
});

Deno.test({
  name:
    "root may start a process as somebody else, who may bind low ports and ends with the starter",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await withStarter(async (starter) => {
      const child = await starter.start({ argv: ["/bin/sleep", "60"], env: {}, policy: nobody });
      const status = Deno.readTextFileSync(`/proc/${child.pid}/status`);
      assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
      assert.match(status, /^Gid:\t65534\t65534\t65534\t65534$/m);
      assert.match(status, /^Groups:\t *$/m);
      const CAP_NET_BIND_SERVICE = 1 << 10;
      for (const set of ["Prm", "Eff"]) {
        const [, held = "ffff"] = new RegExp(`^Cap${set}:\t([0-9a-f]+)$`, "m").exec(status) ?? [];
        assert.equal(parseInt(held, 16) & ~CAP_NET_BIND_SERVICE, 0, `${set} ${held}`);
      }
      Deno.kill(starter.pid, "SIGKILL");
      assert.deepEqual(await child.exited, { signal: 9 });
      await eventually(() => !alive(child.pid), "it goes on without the starter");
    });
  },
});

Deno.test("descriptors arrive though targets and numbers in the starter cross", async () => {
  await withStarter(async (starter) => {
    const files = [4, 5, 6, 7, 8, 9].map((as) => ({ fd: memfd(`m${as}`, 4096), as })).reverse();
    const links = await outputOf(
      starter,
      shell("for i in 4 5 6 7 8 9; do readlink /proc/self/fd/$i; done"),
      {
        descriptors: files,
      },
    );
    assert.deepEqual(
      links.trim().split("\n"),
      [4, 5, 6, 7, 8, 9].map((n) => `/memfd:m${n} (deleted)`),
    );
    for (const { fd } of files) fd[Symbol.dispose]();
  });
});

Deno.test("arguments and environment are exact", async () => {
  await withStarter(async (starter) => {
    const said = await outputOf(
      starter,
      [
        "/bin/sh",
        "-c",
        'printf "[%s]" "$0" "$@"; cat /proc/self/environ | tr "\\0" ","',
        "",
        "a b",
        "",
      ],
      { env: { ONE: "1", EMPTY: "" } },
    );
    assert.match(said, /^\[\]\[a b\]\[\]/);
    const environment = said.slice(said.lastIndexOf("]") + 1).split(",").filter((entry) => entry);
    assert.deepEqual(environment.filter((entry) => !entry.startsWith("PWD=")).sort(), [
      "EMPTY=",
      "ONE=1",
    ]);
  });
});

Deno.test("a process starts in a clean state", async () => {
  await withStarter(async (starter) => {
    const child = await starter.start({ argv: ["/bin/sleep", "60"], env: {} });
    const status = Deno.readTextFileSync(`/proc/${child.pid}/status`);
    const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1];
    assert.equal(field("NoNewPrivs"), "1");
    assert.equal(field("SigBlk"), "0000000000000200", "only SIGUSR1");
    assert.equal(field("SigIgn"), "0000000000000200", "only SIGUSR1");
    assert.equal(field("PPid"), String(starter.pid));
    assert.equal(Deno.readLinkSync(`/proc/${child.pid}/cwd`), "/");
    const stat = Deno.readTextFileSync(`/proc/${child.pid}/stat`).split(") ")[1].split(" ");
    assert.equal(stat[3], String(child.pid), "leads its session");
    assert.equal(stat[4], "0", "has no controlling terminal");
    const limits = Deno.readTextFileSync(`/proc/${child.pid}/limits`);
    assert.match(limits, /Max core file size\s+0\s+0/);
    assert.match(limits, /Max open files\s+256\s+256/);
    child.kill(15);
    assert.deepEqual(await child.exited, { signal: 15 });
    const many = await starter.start({ argv: ["/bin/sleep", "60"], env: {}, openFiles: 1000 });
    const raised = Deno.readTextFileSync(`/proc/${many.pid}/limits`);
    assert.match(raised, /Max open files\s+1000\s+1000/);
    many.kill();
    await many.exited;
  });
});

Deno.test("how processes end is reported", async () => {
  await withStarter(async (starter) => {
    const ends = await Promise.all(
      ["exit 0", "exit 3", "kill -TERM $$", "exit 255"].map(async (script) =>
        (await starter.start({ argv: shell(script), env: {} })).exited
      ),
    );
    assert.deepEqual(ends, [{ status: 0 }, { status: 3 }, { signal: 15 }, { status: 255 }]);
  });
});

Deno.test("what cannot be started says at which stage", async () => {
  await withStarter(async (starter) => {
    const failed = (argv: string[], descriptors?: { fd: Fd; as: number }[]) =>
      starter.start({ argv, env: {}, descriptors }).then(
        () => assert.fail("started"),
        (error: unknown) => {
          assert.ok(error instanceof StartError);
          return { stage: error.stage, errno: error.errno };
        },
      );
    assert.deepEqual(await failed(["/nonexistent"]), { stage: "exec", errno: 2 });
    assert.deepEqual(await failed(["/etc/passwd"]), { stage: "exec", errno: 13 });
    using memory = memfd("x", 1);
    const twice = [{ fd: memory, as: 5 }, { fd: memory, as: 5 }];
    assert.deepEqual(await failed(["/bin/true"], twice), { stage: "request", errno: 22 });
    assert.deepEqual(await failed(["/bin/true"], [{ fd: memory, as: 200 }]), {
      stage: "request",
      errno: 22,
    });
    assert.throws(() => starter.start({ argv: [], env: {} }), RangeError);
    assert.throws(() => starter.start({ argv: ["/bin/true", "a\0b"], env: {} }), TypeError);
    await assert.rejects(starter.start({ argv: ["/nonexistent"], env: {} }), {
      message:
        "Cannot start /nonexistent: the program could not be run (no such file or directory)",
    });
  });
});

Deno.test("a program may be an open file without a name", async () => {
  await withStarter(async (starter) => {
    using program = openFile("/bin/echo");
    assert.equal(await outputOf(starter, ["no-such-path", "hi"], { program }), "hi\n");
  });
});

Deno.test("closing ends everything that was started, grandchildren too", async () => {
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  const child = await starter.start({ argv: shell("sleep 60 & sleep 60; true"), env: {} });
  const children = () =>
    Deno.readTextFileSync(`/proc/${child.pid}/task/${child.pid}/children`).trim().split(" ");
  await eventually(() => children().length === 2, "the shell started both");
  const grandchildren = children().map(Number);
  await starter.close();
  assert.deepEqual(await child.exited, { signal: 9 });
  assert.equal(alive(child.pid), false);
  for (const pid of grandchildren) await eventually(() => !alive(pid), "a grandchild lives");
  await assert.rejects(starter.start({ argv: ["/bin/true"], env: {} }), { stage: "starter" });
});

Deno.test("children die with a starter that is killed", async () => {
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  const child = await starter.start({ argv: ["/bin/sleep", "60"], env: {} });
  Deno.kill(starter.pid, "SIGKILL");
  assert.deepEqual(await child.exited, { signal: 9 });
  await starter.close();
  await eventually(() => !alive(child.pid), "the child lives");
});

Deno.test("starter and children die with a monitor that is killed", async () => {
  const code = `
    import { Reactor } from ${JSON.stringify(import.meta.resolve("../os/mod.ts"))};
    import { Starter } from ${JSON.stringify(import.meta.resolve("./mod.ts"))};
    const starter = Starter.spawn(new Reactor());
    const child = await starter.start({ argv: ["/bin/sleep", "60"], env: {} });
    console.log(starter.pid + " " + child.pid + "\\n");`;
  const monitor = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-lock", code],
    stdout: "piped",
  }).spawn();
  const reader = monitor.stdout.getReader();
  const { value } = await reader.read();
  const [starter, child] = new TextDecoder().decode(value).trim().split(" ").map(Number);
  assert.equal(alive(starter), true);
  assert.equal(alive(child), true);
  monitor.kill("SIGKILL");
  await monitor.status;
  await reader.cancel();
  await eventually(() => !alive(child) && !alive(starter), "something lives on");
});

Deno.test("signals of the terminal do not end the starter", async () => {
  await withStarter(async (starter) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGQUIT"] as const) {
      Deno.kill(starter.pid, signal);
    }
    assert.equal(await outputOf(starter, ["/bin/echo", "still here"]), "still here\n");
  });
});

Deno.test("a starter that is sealed starts only what it has started before", async () => {
  await withStarter(async (starter) => {
    const refused = (program: string) => ({
      message: `Cannot start ${program}: the request was refused (operation not permitted)`,
    });
    const echo = (word: string) => outputOf(starter, ["/bin/echo", word]);
    const run = async (program: string, path: string) => {
      using file = openFile(path);
      const child = await starter.start({ argv: [program], env: {}, program: file });
      return await child.exited;
    };
    assert.equal(await echo("before"), "before\n");
    assert.deepEqual(await run("one", "/bin/true"), { status: 0 });
    starter.seal();
    assert.equal(await echo("before"), "before\n");
    assert.equal(await echo("before"), "before\n");
    await assert.rejects(echo("after"), refused("/bin/echo"));
    await assert.rejects(starter.start({ argv: ["/bin/true"], env: {} }), refused("/bin/true"));
    assert.deepEqual(await run("one", "/bin/true"), { status: 0 });
    await assert.rejects(run("two", "/bin/true"), refused("two"));
    await assert.rejects(run("one", "/bin/false"), refused("one"), "of the same name");
  });
});

Deno.test("malformed requests are refused, and the starter goes on", async () => {
  const [ours, theirs] = socketPair(SocketType.SeqPacket);
  using socket = ours;
  const pid = spawnStarter(payload().starter, theirs);
  theirs[Symbol.dispose]();
  const buffer = new Uint8Array(64);
  const answerTo = (packet: Uint8Array, fds: Fd[] = []) => {
    assert.equal(sendMessage(socket, packet, fds), packet.length);
    assert.equal(receiveMessage(socket, buffer, 0).length, AnswerPacket.size);
    const { kind, a, b } = AnswerPacket.decode(buffer);
    return { kind, a, b };
  };
  const refused = { kind: 2, a: 22, b: 1 };
  const good = encodeStart(1, {
    argv: ["/bin/true"],
    environment: ["A=1"],
    openFiles: 256,
    files: ["r/etc"],
    limits: [[8, 0]],
  });
  const changed = (fields: Partial<ReturnType<typeof StartHead.decode>>) => {
    const copy = good.slice();
    Object.assign(StartHead.at(new DataView(copy.buffer)), fields);
    return copy;
  };
  for (
    const fields of [
      { argc: 0 },
      { argc: 2 },
      { argc: 257 },
      { argc: 0xffff_ffff },
      { envc: 2 },
      { envc: 0xffff_ffff },
      { argc: 0x8000_0001, envc: 0x8000_0000 },
      { descriptors: 1 },
      { descriptors: 0x4000_0000 },
      { openFiles: 199 },
      { openFiles: 65_537 },
      { limits: 0 },
      { limits: 17 },
      { limits: 0x2000_0000 },
      { files: 0 },
      { files: 2 },
      { files: 257 },
      { namespaces: 0x80 },
      { namespaces: 0x100 },
      { measures: 4 },
    ]
  ) assert.deepEqual(answerTo(changed(fields)), refused, JSON.stringify(fields));
  assert.deepEqual(answerTo(good.subarray(0, good.length - 1)), refused, "no NUL at the end");
  assert.deepEqual(answerTo(good.subarray(0, 12)), refused, "cut in its head");
  assert.deepEqual(answerTo(new Uint8Array([...good, 0])), refused, "more than it says");
  for (const file of ["w/etc", "retc", "r", ""]) {
    const odd = encodeStart(1, { argv: ["/bin/true"], openFiles: 256, files: [file] });
    assert.deepEqual(answerTo(odd), refused, `the file ${file}`);
  }
  using memory = memfd("x", 1);
  assert.deepEqual(answerTo(good, [memory]), refused, "an unannounced descriptor");
  const low = encodeStart(1, { argv: ["/bin/true"], targets: [-2], openFiles: 256 });
  assert.deepEqual(answerTo(low, [memory]), refused, "a negative target");
  const invalid = { kind: 4, a: 22, b: 0 };
  for (const kind of [Request.Admit, Request.Connect, Request.Save]) {
    const packet = encodePath(1, { kind, detail: 0, path: "/x" });
    for (const odd of [packet.subarray(0, packet.length - 1), packet.subarray(0, 12)]) {
      assert.deepEqual(answerTo(odd), invalid, `a path without an end, ${kind}`);
    }
    assert.deepEqual(answerTo(new Uint8Array([...packet, 0])), invalid, `two ends, ${kind}`);
  }
  const connect = encodePath(1, { kind: Request.Connect, detail: 0, path: "/x" });
  assert.deepEqual(answerTo(connect), invalid, "no socket");
  assert.deepEqual(answerTo(connect, [memory, memory]), invalid, "two sockets");
  assert.equal(answerTo(connect, [memory]).kind, 4);
  const saved = encodePath(1, { kind: Request.Saved, detail: 1 });
  assert.deepEqual(answerTo(saved), invalid, "nothing is being saved");
  const regions = encodePath(1, { kind: Request.Save, detail: 0xffff_ffff, path: "/tmp/x" });
  assert.deepEqual(answerTo(regions), invalid, "too many regions");
  const long = encodeStart(1, { argv: ["/bin/true", "x".repeat(60_000)], openFiles: 256 });
  const padded = new Uint8Array(70_000);
  padded.set(long);
  assert.deepEqual(answerTo(padded), { kind: 2, a: 90, b: 1 }, "longer than its buffer");
  assert.deepEqual(answerTo(new Uint8Array([1, 0, 0])), { kind: 2, a: 90, b: 1 }, "too short");
  sendMessage(socket, KillRequest.encode({ kind: 2, id: 99, signal: 9 }));
  sendMessage(socket, KillRequest.encode({ kind: 77, id: 1, signal: 9 }));
  assert.equal(answerTo(good).kind, 1, "it still starts");
  socket[Symbol.dispose]();
  await eventually(() => reap(pid) !== undefined, "the starter did not end");
});

Deno.test("a child that nobody watches leaves no zombie and no descriptor behind", async () => {
  await withStarter(async (starter) => {
    const links = () => [...Deno.readDirSync(`/proc/${starter.pid}/fd`)].length;
    using memory = memfd("x", 1);
    const run = async () =>
      await (await starter.start({
        argv: ["/bin/true"],
        env: {},
        descriptors: [{ fd: memory, as: 9 }],
      })).exited;
    await run();
    const before = links();
    for (let i = 0; i < 20; i++) await run();
    await assert.rejects(
      starter.start({ argv: ["/x"], env: {}, descriptors: [{ fd: memory, as: 4 }] }),
    );
    await eventually(() => links() === before, "descriptors stay open in the starter");
    const children = Deno.readTextFileSync(`/proc/${starter.pid}/task/${starter.pid}/children`);
    assert.equal(children, "");
  });
});
