import {
  type Backend,
  type Cache,
  fio,
  ours,
  qemuStorageDaemon,
  withBackend,
} from "./blk_backends.ts";
import {
  buildDriver,
  createImage,
  diskJobs,
  drive,
  type Job,
  type JobResult,
  rateOf,
} from "./blk_driver.ts";
import {
  type Bench,
  type BenchOptions,
  type BenchResult,
  compare,
  type Measurement,
} from "./measurement.ts";

const RUNS = 3;
const IMAGE_SIZE = 2 ** 30;

/** Where the images are: memory for the page cache, a disk for O_DIRECT. */
const places: Readonly<Record<Cache, string>> = {
  "page cache": "/dev/shm/spectrum-bench.img",
  "O_DIRECT": "/var/tmp/spectrum-bench.img",
};

/** Results of all runs of one side, by job. */
type Series = Map<string, JobResult[]>;

async function freeBytes(folder: string): Promise<number> {
  const { stdout } = await new Deno.Command("df", {
    args: ["--output=avail", "-B1", folder],
  }).output();
  return Number(new TextDecoder().decode(stdout).trim().split("\n")[1]);
}

/** The image at its place, or why it cannot be. */
async function prepare(path: string): Promise<string | undefined> {
  const there = await Deno.stat(path).then((stat) => stat.size === IMAGE_SIZE, () => false);
  const folder = path.slice(0, path.lastIndexOf("/"));
  const free = await freeBytes(folder);
  if (!there && free < 1.1 * IMAGE_SIZE) {
    return `${folder} has only ${Math.round(free / 2 ** 20)} MiB free of the ${
      Math.round(1.1 * IMAGE_SIZE / 2 ** 20)
    } that the image takes`;
  }
  await createImage(path, IMAGE_SIZE);
  return undefined;
}

/** Both sides alternately, so that what else goes on hits both. */
async function measure(
  cache: Cache,
  sides: readonly Backend[],
  runs: number,
  folder: string,
  { progress }: BenchOptions,
): Promise<Series[]> {
  const all: Series[] = sides.map(() => new Map(diskJobs.map((job) => [job.name, []])));
  for (let run = 0; run < runs; run++) {
    for (const [i, side] of sides.entries()) {
      progress(`${cache}, run ${run + 1} of ${runs}: ${side.name}`);
      const socket = `${folder}/blk.sock`;
      const results = await withBackend(
        side,
        places[cache],
        socket,
        cache,
        () => drive(socket, diskJobs),
      );
      for (const result of results) all[i].get(result.name)?.push(result);
    }
  }
  return all;
}

/** The lines of one job: rate, and at depth 1 also the latency. */
function lines(
  prefix: string,
  job: Job,
  own: readonly JobResult[],
  peer: { readonly name: string; readonly results: readonly JobResult[] },
): Measurement[] {
  const line = (
    what: string,
    unit: string,
    better: "more" | "less",
    pick: (of: JobResult) => number,
  ) =>
    compare(`${prefix}, ${job.name}${what}`, unit, better, own.map(pick), {
      name: peer.name,
      values: peer.results.map(pick),
    });
  const { unit, pick } = rateOf(job);
  const rate = line("", unit, "more", pick);
  return job.depth > 1 ? [rate] : [rate, line(", median", "µs", "less", (of) => of.p50us)];
}

async function fioLines(
  own: Series,
  runs: number,
  { progress }: BenchOptions,
): Promise<Measurement[]> {
  const results: Measurement[] = [];
  for (const job of diskJobs) {
    const values: number[] = [];
    const { unit, pick } = rateOf(job);
    for (let run = 0; run < runs; run++) {
      progress(`O_DIRECT, run ${run + 1} of ${runs}: fio, ${job.name}`);
      values.push(pick(await fio(places.O_DIRECT, job)));
    }
    const mine = (own.get(job.name) ?? []).map(pick);
    results.push(
      compare(`O_DIRECT, ${job.name}`, unit, "more", mine, { name: "fio io_uring", values }),
    );
  }
  return results;
}

async function run(options: BenchOptions): Promise<BenchResult> {
  const runs = options.runs ?? RUNS;
  const measurements: Measurement[] = [];
  const notes = [
    "all data is verified by the driver, which watches the used ring for 200 µs before it sleeps",
    "q-s-d is qemu-storage-daemon with its defaults, q-s-d io_uring the same with aio=io_uring and an iothread",
  ];
  options.progress("compiling the driver");
  await buildDriver();
  const folder = await Deno.makeTempDir({ prefix: "spectrum-bench-" });
  try {
    for (const cache of Object.keys(places) as Cache[]) {
      options.progress(`${cache}: the image`);
      const problem = await prepare(places[cache]);
      if (problem !== undefined) {
        notes.push(`${cache} was left out: ${problem}`);
        continue;
      }
      const sides = [ours, qemuStorageDaemon(false), qemuStorageDaemon(true)];
      const [own, ...others] = await measure(cache, sides, runs, folder, options);
      for (const [i, other] of others.entries()) {
        for (const job of diskJobs) {
          const results = other.get(job.name) ?? [];
          const peer = { name: sides[i + 1].name, results };
          measurements.push(...lines(cache, job, own.get(job.name) ?? [], peer));
        }
      }
      if (cache === "O_DIRECT") measurements.push(...await fioLines(own, runs, options));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
    // Memory is dear; the file on the disk is kept for the next time.
    await Deno.remove(places["page cache"]).catch(() => {});
  }
  return { measurements, notes };
}

/** Our blk worker beside qemu-storage-daemon and fio. */
export const blk: Bench = {
  name: "blk",
  summary: "reads through our blk worker and qemu-storage-daemon, from the page cache and O_DIRECT",
  run,
};
