import { assertLockedOnTerminal } from "./lock_report.ts";
import assert from "node:assert/strict";
import {
  connectUnix,
  type ExitStatus,
  type Fd,
  listenUnix,
  openFile,
  payload,
  Reactor,
  read,
  socketPair,
  writeAll,
} from "../../src/os/mod.ts";
import {
  MESSAGE_SOCKET,
  policies,
  workerMessages,
  type WorkerSetUp,
} from "../../src/devices/mod.ts";
import { AsyncPeer, RequestError, unixTransport } from "../../src/msg/mod.ts";
import { Starter, workerEnvironment } from "../../src/sandbox/mod.ts";

interface Run {
  readonly pid: number;
  /** Rejects with what the worker says when it cannot be set up. */
  readonly ready: Promise<unknown>;
  readonly ended: Promise<{ end: ExitStatus; said: string }>;
  kill(): void;
  /** What a monitor's death does to the message socket. */
  hangUp(): void;
}

/** Starts a worker as a monitor does; this is the monitor's end of its socket. */
async function start(starter: Starter, setUp: WorkerSetUp): Promise<Run> {
  const path = await Deno.makeTempFile();
  using stderr = openFile(path, { write: true });
  const [ours, theirs] = socketPair();
  using _theirs = theirs;
  const peer = new AsyncPeer(unixTransport(ours), starter.reactor, {
    calls: workerMessages,
    serves: {},
    handlers: {},
  });
  const ready = peer.request("setUp", setUp);
  ready.catch(() => {});
  const child = await starter.start({
    argv: [...payload().device, setUp.device.kind],
    env: workerEnvironment(policies[setUp.device.kind]),
    descriptors: [{ fd: theirs, as: MESSAGE_SOCKET }],
    stderr,
  });
  const ended = child.exited.then(async (end) => {
    const said = await Deno.readTextFile(path);
    await Deno.remove(path);
    return { end, said };
  });
  return {
    pid: child.pid,
    ready,
    ended,
    kill: () => child.kill(),
    hangUp: () => peer[Symbol.dispose](),
  };
}

const connected = (socket: Fd) => ({ how: "connected", socket: socket.borrow() }) as const;
const rng = { kind: "rng" } as const;
const blk = (disk: Fd) =>
  ({ kind: "blk", disk: disk.borrow(), readonly: false, cache: "auto", queues: 1 }) as const;

async function withStarter(body: (starter: Starter) => Promise<void>): Promise<void> {
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  try {
    await body(starter);
  } finally {
    await starter.close();
  }
}

/** SET_OWNER, GET_FEATURES; the worker is there when it has answered. */
async function greet(socket: Fd): Promise<void> {
  writeAll(socket, new Uint8Array([3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]));
  writeAll(socket, new Uint8Array([1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]));
  await new Promise((resolve) => setTimeout(resolve, 0));
  const reply = new Uint8Array(20);
  assert.equal(read(socket, reply), 20);
  assert.equal(reply[0], 1);
}

Deno.test("a worker ends with its frontend: well when that leaves, badly when that talks nonsense", async () => {
  await withStarter(async (starter) => {
    for (const nonsense of [false, true]) {
      const [ours, theirs] = socketPair();
      using frontend = ours;
      const run = await start(starter, { device: rng, frontend: connected(theirs) });
      theirs[Symbol.dispose]();
      await greet(frontend);
      if (nonsense) writeAll(frontend, new Uint8Array(64).fill(0xaa));
      else frontend[Symbol.dispose]();
      const { end, said } = await run.ended;
      assert.deepEqual(end, { status: nonsense ? 1 : 0 });
      if (nonsense) assert.match(said, /^spectrum device rng: The vhost-user frontend broke/);
      else assert.equal(said, "");
    }
  });
});

Deno.test("a worker that cannot be set up tells its monitor why, and ends with status 1", async () => {
  await withStarter(async (starter) => {
    const [ours, theirs] = socketPair();
    using _ours = ours;
    using _theirs = theirs;
    using file = openFile("/etc/passwd");
    const frontend = connected(theirs);
    const cases: [WorkerSetUp, RegExp][] = [
      [{ device: rng, frontend: connected(file) }, /the connection is not a socket/],
      [{ device: blk(theirs), frontend }, /neither a file nor a block/],
      [{ device: blk(file), frontend }, /opened for reading only/],
      [
        { device: { ...blk(file), readonly: true, cache: "none" }, frontend },
        /needs a disk that was opened with O_DIRECT/,
      ],
    ];
    for (const [setUp, message] of cases) {
      const run = await start(starter, setUp);
      await assert.rejects(run.ready, (error) => {
        assert(error instanceof RequestError);
        assert.equal(error.code, "unusable");
        assert.match(error.message, message);
        return true;
      });
      assert.deepEqual(await run.ended, { end: { status: 1 }, said: "" });
    }
  });
});

Deno.test("a worker does not outlive its monitor's message socket: waiting, listening or serving", async () => {
  await withStarter(async (starter) => {
    const folder = await Deno.makeTempDir();
    using listener = listenUnix(`${folder}/sock`);
    const [ours, theirs] = socketPair();
    using frontend = ours;
    using _theirs = theirs;
    const serving = await start(starter, { device: rng, frontend: connected(theirs) });
    await greet(frontend);
    const socket = listener.borrow();
    const listening = await start(starter, { device: rng, frontend: { how: "listening", socket } });
    await listening.ready;
    for (const run of [serving, listening]) {
      run.hangUp();
      assert.deepEqual(await run.ended, { end: { status: 0 }, said: "" });
    }
    await Deno.remove(folder, { recursive: true });
  });
});

Deno.test("a listening worker serves one frontend after the other, and holds what it was handed", async () => {
  await withStarter(async (starter) => {
    const folder = await Deno.makeTempDir();
    using listener = listenUnix(`${folder}/sock`);
    const image = `${folder}/disk.img`;
    await Deno.writeFile(image, new Uint8Array(65536));
    using disk = openFile(image, { write: true });
    const frontend = { how: "listening", socket: listener.borrow() } as const;
    const run = await start(starter, { device: blk(disk), frontend });
    await run.ready;
    for (let i = 0; i < 3; i++) {
      using frontend = connectUnix(`${folder}/sock`);
      if (i === 1) writeAll(frontend, new Uint8Array(64).fill(0xaa));
      else await greet(frontend);
    }
    const paths = [...Deno.readDirSync(`/proc/${run.pid}/fd`)].map(({ name }) => {
      try {
        return Deno.readLinkSync(`/proc/${run.pid}/fd/${name}`);
      } catch {
        // The last frontend's connection, which it closes just now.
        return "";
      }
    });
    const onDisk = paths.filter((path) => path.startsWith("/") && !path.startsWith("/dev/null"));
    assert.deepEqual(onDisk.filter((path) => !path.startsWith("/tmp/")), []);
    assert.equal(onDisk.filter((path) => path === image).length, 1);
    run.kill();
    assert.deepEqual((await run.ended).end, { signal: 9 });
    await Deno.remove(folder, { recursive: true });
  });
});

Deno.test("a worker can do nothing once it is set up, also on a terminal", async () => {
  await assertLockedOnTerminal(payload().device.join(" "));
});

Deno.test("memory that is written to is never code where the engine only interprets", async () => {
  await withStarter(async (starter) => {
    const path = await Deno.makeTempFile();
    await Deno.truncate(path, 2 ** 20);
    using disk = openFile(path, { write: true });
    for (const device of [blk(disk), rng]) {
      const [ours, theirs] = socketPair();
      using _frontend = ours;
      using socket = theirs;
      const run = await start(starter, { device, frontend: connected(socket) });
      await run.ready;
      const maps = await Deno.readTextFile(`/proc/${run.pid}/maps`);
      const both = maps.split("\n").filter((line) => / .wx. /.test(line));
      assert.equal(both.length > 0, device.kind === "blk", `${device.kind}: ${both.join("\n")}`);
      run.kill();
      await run.ended;
    }
    await Deno.remove(path);
  });
});
