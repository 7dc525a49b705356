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
import { Starter, workerEnvironment } from "../../src/sandbox/mod.ts";

interface Run {
  readonly pid: number;
  readonly ended: Promise<{ end: ExitStatus; said: string }>;
  kill(): void;
}

/** Starts a worker with these words and descriptors, 3 being the first. */
async function start(starter: Starter, words: string[], fds: readonly Fd[]): Promise<Run> {
  const path = await Deno.makeTempFile();
  using stderr = openFile(path, { write: true });
  const child = await starter.start({
    argv: [...payload().device, ...words],
    env: workerEnvironment(),
    descriptors: fds.map((fd, i) => ({ fd, as: 3 + i })),
    stderr,
  });
  const ended = child.exited.then(async (end) => {
    const said = await Deno.readTextFile(path);
    await Deno.remove(path);
    return { end, said };
  });
  return { pid: child.pid, ended, kill: () => child.kill() };
}

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
      const run = await start(starter, ["rng", "--fd", "3"], [theirs]);
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

Deno.test("a worker that cannot start says why, in one line, with status 1", async () => {
  await withStarter(async (starter) => {
    const [ours, theirs] = socketPair();
    using _ours = ours;
    using _theirs = theirs;
    using file = openFile("/etc/passwd");
    const cases: [string[], Fd[], RegExp][] = [
      [["rng"], [], /rng: give one of --fd and --listen-fd/],
      [["toaster", "--fd", "3"], [theirs], /"toaster" is no kind of device/],
      [["rng", "--fd", "99"], [theirs], /Cannot use descriptor 99: bad file descriptor/],
      [["rng", "--fd", "4"], [theirs, file], /the connection is not a socket/],
      [["blk", "--fd", "3"], [theirs], /blk: blk needs --disk-fd/],
      [["blk", "--fd", "3", "--disk-fd", "4"], [theirs, theirs], /neither a file nor a block/],
      [["blk", "--fd", "3", "--disk-fd", "4"], [theirs, file], /opened for reading only/],
      [
        ["blk", "--fd", "3", "--disk-fd", "4", "--readonly", "--cache", "none"],
        [theirs, file],
        /--cache none needs a disk that was opened with O_DIRECT/,
      ],
    ];
    for (const [words, fds, message] of cases) {
      const { end, said } = await (await start(starter, words, fds)).ended;
      assert.deepEqual(end, { status: 1 }, said);
      assert.match(said, message);
      assert.equal(said.trim().split("\n").length, 1, said);
    }
  });
});

Deno.test("a listening worker serves one frontend after the other, and holds what it was handed", async () => {
  await withStarter(async (starter) => {
    const folder = await Deno.makeTempDir();
    using listener = listenUnix(`${folder}/sock`);
    const image = `${folder}/disk.img`;
    await Deno.writeFile(image, new Uint8Array(65536));
    using disk = openFile(image, { write: true });
    const words = ["blk", "--listen-fd", "3", "--disk-fd", "4"];
    const run = await start(starter, words, [listener, disk]);
    for (let i = 0; i < 3; i++) {
      using frontend = connectUnix(`${folder}/sock`);
      if (i === 1) writeAll(frontend, new Uint8Array(64).fill(0xaa));
      else await greet(frontend);
    }
    const paths = [...Deno.readDirSync(`/proc/${run.pid}/fd`)].map(({ name }) =>
      Deno.readLinkSync(`/proc/${run.pid}/fd/${name}`)
    );
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
