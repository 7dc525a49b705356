/** Compiles and runs the vhost-user frontend in C that drives both sides of the blk benchmark. */

const SOURCE = new URL("./blk_driver.c", import.meta.url).pathname;
const BINARY = new URL("../../build/bench/blk_driver", import.meta.url).pathname;

/** A series of reads. */
export interface Job {
  readonly name: string;
  readonly pattern: "rand" | "seq";
  /** Bytes of each read. */
  readonly block: number;
  /** Reads in flight. */
  readonly depth: number;
  readonly seconds: number;
}

/** What disks are measured by. */
export const diskJobs: readonly Job[] = [
  { name: "4 KiB random, depth 1", pattern: "rand", block: 4096, depth: 1, seconds: 2 },
  { name: "4 KiB random, depth 32", pattern: "rand", block: 4096, depth: 32, seconds: 2 },
  { name: "128 KiB sequential, depth 8", pattern: "seq", block: 131072, depth: 8, seconds: 2 },
];

/** What a job's rate is measured in, and that of a result. */
export function rateOf({ pattern }: Job): {
  readonly unit: string;
  readonly pick: (of: Pick<JobResult, "iops" | "bytesPerSecond">) => number;
} {
  return pattern === "seq"
    ? { unit: "MB/s", pick: (of) => of.bytesPerSecond / 1e6 }
    : { unit: "IOPS", pick: (of) => of.iops };
}

/** What a job came to; the driver has checked the data. */
export interface JobResult {
  readonly name: string;
  readonly iops: number;
  readonly bytesPerSecond: number;
  readonly p50us: number;
  readonly p99us: number;
  readonly kicksPerRequest: number;
  readonly signalsPerRequest: number;
  readonly requests: number;
}

async function command(program: string, args: string[]): Promise<string> {
  const output = await new Deno.Command(program, { args, stdin: "null" }).output();
  const text = new TextDecoder();
  if (!output.success) throw new Error(`${program} failed: ${text.decode(output.stderr).trim()}`);
  return text.decode(output.stdout);
}

/** Compiles the driver when its source is newer. */
export async function buildDriver(): Promise<void> {
  const [source, binary] = await Promise.all([
    Deno.stat(SOURCE),
    Deno.stat(BINARY).catch(() => undefined),
  ]);
  if ((binary?.mtime?.getTime() ?? 0) > (source.mtime?.getTime() ?? 0)) return;
  await Deno.mkdir(new URL(".", `file://${BINARY}`), { recursive: true });
  await command("cc", ["-O2", "-Wall", "-Wextra", "-o", BINARY, SOURCE]);
}

/** Makes an image of known content, unless it is there already. */
export async function createImage(path: string, size: number): Promise<void> {
  await command(BINARY, ["--create", path, "--size", `${size}`]);
}

/** Runs jobs against a backend that listens, or soon will. */
export async function drive(socket: string, jobs: readonly Job[]): Promise<JobResult[]> {
  const list = jobs.flatMap(({ name, pattern, block, depth, seconds }) => [
    "--job",
    `${name}:${pattern}:${block}:${depth}:${seconds}`,
  ]);
  const output = await command(BINARY, ["--socket", socket, ...list]);
  return output.trim().split("\n").map((line) => JSON.parse(line) as JobResult);
}
