import { AsyncPeer, unixTransport } from "../../src/msg/mod.ts";
import {
  MESSAGE_SOCKET,
  policies,
  workerMessages,
  type WorkerSetUp,
} from "../../src/devices/mod.ts";
import { listenUnix, openFile, payload, Reactor, socketPair } from "../../src/os/mod.ts";
import { type Child, Starter, workerEnvironment } from "../../src/sandbox/mod.ts";
import { ready } from "../ready.ts";
import { buildDriver, createImage, diskJobs, drive, type JobResult, rateOf } from "./blk_driver.ts";
import { type Bench, type BenchOptions, type BenchResult, compare } from "./measurement.ts";

const STARTS = 20;
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
  const child = await starter.start({
    argv: [...payload().device, setUp.device.kind],
    env: workerEnvironment(),
    descriptors: [{ fd: given, as: MESSAGE_SOCKET }],
    policy: side === "jailed" ? policies[setUp.device.kind] : undefined,
  });
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

async function starts(starter: Starter, runs: number, { progress }: BenchOptions) {
  const found = { jailed: { time: [], memory: [] }, free: { time: [], memory: [] } } as Record<
    Side,
    { time: number[]; memory: number[] }
  >;
  for (let run = 0; run < runs; run++) {
    progress(`starts, run ${run + 1} of ${runs}`);
    for (const side of sides) {
      const [ours, theirs] = socketPair();
      using _frontend = ours;
      using socket = theirs;
      const frontend = { how: "connected", socket: socket.borrow() } as const;
      const worker = await start(starter, side, { device: { kind: "rng" }, frontend });
      found[side].time.push(worker.milliseconds);
      found[side].memory.push(memoryOf(worker.child.pid));
      await end(worker);
    }
  }
  return found;
}

async function loads(starter: Starter, runs: number, { progress }: BenchOptions) {
  const found: Record<Side, JobResult[]> = { jailed: [], free: [] };
  const folder = await Deno.makeTempDir({ prefix: "spectrum-bench-" });
  try {
    await buildDriver();
    await createImage(IMAGE, IMAGE_SIZE);
    for (let run = 0; run < runs; run++) {
      for (const side of sides) {
        progress(`a disk under load, run ${run + 1} of ${runs}: ${side}`);
        const path = `${folder}/blk.sock`;
        using listener = listenUnix(path);
        using disk = openFile(IMAGE);
        const worker = await start(starter, side, {
          device: {
            ...{ kind: "blk", disk: disk.borrow(), readonly: true },
            ...{ cache: "auto", queues: 1 },
          },
          frontend: { how: "listening", socket: listener.borrow() },
        });
        found[side].push(...await drive(path, diskJobs));
        await end(worker);
        await Deno.remove(path);
      }
    }
    return found;
  } finally {
    await Deno.remove(folder, { recursive: true });
    await Deno.remove(IMAGE).catch(() => {});
  }
}

async function run(options: BenchOptions): Promise<BenchResult> {
  await ready();
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  try {
    const { jailed, free } = await starts(starter, options.runs ?? STARTS, options);
    const measurements = [
      compare("rng, from start to service", "ms", "less", jailed.time, {
        name: PEER,
        values: free.time,
      }),
      compare("rng, memory", "MiB", "less", jailed.memory, { name: PEER, values: free.memory }),
    ];
    const load = await loads(starter, options.runs ?? LOADS, options);
    for (const job of diskJobs) {
      const { unit, pick } = rateOf(job);
      const values = (side: Side) => load[side].filter(({ name }) => name === job.name).map(pick);
      const peer = { name: PEER, values: values("free") };
      measurements.push(compare(`blk, ${job.name}`, unit, "more", values("jailed"), peer));
    }
    const notes = ["without a jail a worker has given up the runtime's permissions all the same"];
    return { measurements, notes };
  } finally {
    await starter.close();
  }
}

/** What the jail of a worker costs. */
export const jail: Bench = {
  name: "jail",
  summary: "a worker with and without its jail: start, memory, throughput of a disk",
  run,
};
