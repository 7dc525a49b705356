import { AsyncPeer, unixTransport } from "../../src/msg/mod.ts";
import {
  MESSAGE_SOCKET,
  policies,
  workerMessages,
  type WorkerSetUp,
} from "../../src/devices/mod.ts";
import { type Fd, listenUnix, openFile, payload, Reactor, socketPair } from "../../src/os/mod.ts";
import { type Child, Starter, workerEnvironment } from "../../src/sandbox/mod.ts";
import { ready } from "../ready.ts";
import { buildDriver, createImage, diskJobs, drive, type JobResult, rateOf } from "./blk_driver.ts";
import {
  type Bench,
  type BenchOptions,
  type BenchResult,
  compare,
  type Measurement,
} from "./measurement.ts";

const STARTS = 40;
const LOADS = 5;
const IMAGE = "/dev/shm/spectrum-bench-jail.img";
const IMAGE_SIZE = 2 ** 28;

/** A worker with all of its jail, or with the runtime's permissions alone. */
type Side = "jailed" | "free";
const sides: readonly Side[] = ["jailed", "free"];
const PEER = "no jail";

interface Started {
  readonly child: Child;
  /** From the request to the worker's answer, in milliseconds. */
  readonly milliseconds: number;
}

async function start(starter: Starter, side: Side, setUp: WorkerSetUp): Promise<Started> {
  const [ours, theirs] = socketPair();
  using given = theirs;
  const before = performance.now();
  const peer = new AsyncPeer(unixTransport(ours), starter.reactor, {
    calls: workerMessages,
    serves: {},
    handlers: {},
  });
  const otherCalls = side === "jailed" ? "kill" : "allow";
  const set = peer.request("setUp", { ...setUp, otherCalls });
  const policy = side === "jailed" ? policies[setUp.device.kind] : undefined;
  const child = await starter.start({
    argv: [...payload().device, setUp.device.kind],
    env: workerEnvironment(policy),
    descriptors: [{ fd: given, as: MESSAGE_SOCKET }],
    policy,
  });
  given[Symbol.dispose]();
  (await set)[Symbol.dispose]();
  const milliseconds = performance.now() - before;
  void child.exited.then(() => peer[Symbol.dispose]());
  return { child, milliseconds };
}

/** Of a process and what it shares with others, in MiB. */
function memoryOf(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1]) / 1024;
}

async function end({ child }: Started): Promise<void> {
  child.kill();
  await child.exited;
}

function diskOf(image: Fd): WorkerSetUp["device"] {
  return { kind: "blk", disk: image.borrow(), readonly: true, cache: "auto", queues: 1 };
}

/** Each kind of device with the least that it is handed; `held` keeps what that is, `socket` is a path. */
function devices(held: DisposableStack, socket: string): WorkerSetUp["device"][] {
  const end = () => {
    const [ours, theirs] = socketPair();
    held.use(ours);
    return held.use(theirs).borrow();
  };
  return [
    { kind: "rng" },
    { kind: "console", output: end() },
    diskOf(held.use(openFile(IMAGE))),
    {
      ...{ kind: "net", end: { kind: "stream", socket: end() } },
      ...{ mac: "02:00:00:00:00:01", pairs: 1 },
    },
    { kind: "vsock", cid: 3, listener: held.use(listenUnix(socket)).borrow() },
    {
      ...{ kind: "wl", region: 2 ** 30, memory: 2 ** 28 },
      ...{ vfds: 1024, contexts: 64, doorbells: 0 },
    },
  ];
}

async function starts(
  starter: Starter,
  folder: string,
  runs: number,
  { progress }: BenchOptions,
): Promise<Measurement[]> {
  const found = new Map<string, Record<Side, { time: number[]; memory: number[] }>>();
  for (let run = 0; run < runs; run++) {
    progress(`starts, run ${run + 1} of ${runs}`);
    using held = new DisposableStack();
    const given = sides.map((side) => devices(held, `${folder}/${run}-${side}`));
    // Both sides of a kind one after the other: the machine is the same for them.
    for (const i of given[0].keys()) {
      for (const side of run % 2 === 0 ? sides : sides.toReversed()) {
        const device = given[sides.indexOf(side)][i];
        const [ours, theirs] = socketPair();
        held.use(ours);
        using socket = theirs;
        const frontend = { how: "connected", socket: socket.borrow() } as const;
        const worker = await start(starter, side, { device, frontend });
        const values = found.get(device.kind) ??
          { jailed: { time: [], memory: [] }, free: { time: [], memory: [] } };
        found.set(device.kind, values);
        values[side].time.push(worker.milliseconds);
        values[side].memory.push(memoryOf(worker.child.pid));
        await end(worker);
      }
    }
  }
  return [...found].flatMap(([kind, { jailed, free }]) => [
    compare(`${kind}, from start to service`, "ms", "less", jailed.time, {
      name: PEER,
      values: free.time,
    }),
    compare(`${kind}, memory`, "MiB", "less", jailed.memory, { name: PEER, values: free.memory }),
  ]);
}

async function loads(
  starter: Starter,
  folder: string,
  runs: number,
  { progress }: BenchOptions,
): Promise<Measurement[]> {
  const found: Record<Side, JobResult[]> = { jailed: [], free: [] };
  for (let run = 0; run < runs; run++) {
    for (const side of sides) {
      progress(`a disk under load, run ${run + 1} of ${runs}: ${side}`);
      const path = `${folder}/blk.sock`;
      using listener = listenUnix(path);
      using disk = openFile(IMAGE);
      const worker = await start(starter, side, {
        device: diskOf(disk),
        frontend: { how: "listening", socket: listener.borrow() },
      });
      found[side].push(...await drive(path, diskJobs));
      await end(worker);
      await Deno.remove(path);
    }
  }
  return diskJobs.map((job) => {
    const { unit, pick } = rateOf(job);
    const values = (side: Side) => found[side].filter(({ name }) => name === job.name).map(pick);
    const peer = { name: PEER, values: values("free") };
    return compare(`blk, ${job.name}`, unit, "more", values("jailed"), peer);
  });
}

async function run(options: BenchOptions): Promise<BenchResult> {
  await ready();
  await buildDriver();
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  const folder = await Deno.makeTempDir({ prefix: "spectrum-bench-" });
  try {
    await createImage(IMAGE, IMAGE_SIZE);
    const { runs } = options;
    const measurements = [
      ...await starts(starter, folder, runs ?? STARTS, options),
      ...await loads(starter, folder, runs ?? LOADS, options),
    ];
    const notes = ["without a jail a worker has given up the runtime's permissions all the same"];
    return { measurements, notes };
  } finally {
    await starter.close();
    await Deno.remove(folder, { recursive: true });
    await Deno.remove(IMAGE).catch(() => {});
  }
}

/** What the jail of a worker costs. */
export const jail: Bench = {
  name: "jail",
  summary: "a worker with and without its jail: start, memory, throughput of a disk",
  run,
};
