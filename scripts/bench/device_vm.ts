import { buildKernel, cacheDir, deviceImage, showProgress } from "../../src/guest/mod.ts";
import { guestScript, testGuest } from "../lab/mod.ts";
import { ready } from "../ready.ts";
import { spectrumCommand } from "../spectrum_command.ts";
import { openStage, type Stage } from "../stage.ts";
import {
  type Bench,
  type BenchOptions,
  type BenchResult,
  compare,
  type Measurement,
  median,
} from "./measurement.ts";

const RUNS = 3;
const FOLDER = "/scratch/bench-device-vm";
/** MiB that are read again and again: from a page cache, of the host or of the device VM. */
const IMAGE_MIB = 16;
const SECONDS = 5;
/** Seconds after which something hangs; a guest may, in the lab (docs/lab.md). */
const LIMIT = 150;
const ATTEMPTS = 3;

const jobs = [
  { name: "4 KiB random reads, 1 in flight", flags: "--rw=randread --bs=4k --iodepth=1" },
  { name: "4 KiB random reads, 32 in flight", flags: "--rw=randread --bs=4k --iodepth=32" },
  { name: "128 KiB reads in order, 8 in flight", flags: "--rw=read --bs=128k --iodepth=8" },
] as const;

/** What a job came to. */
interface JobResult {
  readonly iops: number;
  readonly bytesPerSecond: number;
  /** Mean, from submission to completion, in µs. */
  readonly latency: number;
}

/** Through which a request goes. */
type Way = "worker" | "relayed" | "doorbells";

const ways: Readonly<Record<Way, string>> = {
  worker: "a worker on the host",
  relayed: "a device VM, events relayed",
  doorbells: "a device VM, direct doorbells",
};

/** A loop of JavaScript, which prints how many milliseconds it took. */
const LOOP = `const f=()=>{let x=1;const t=performance.now();` +
  `for(let i=0;i<3e7;i++)x=(x*1103515245+12345)&0x7fffffff;return[performance.now()-t,x]};` +
  `f();console.log("loop",Math.round(f()[0]))`;

/** The same reads of a disk by way of a worker on the host, and of a device VM. */
export const deviceVm: Bench = {
  name: "device-vm",
  summary:
    "a disk through a device VM, with direct doorbells and without, beside a worker on the host",
  async run({ runs = RUNS, progress }: BenchOptions): Promise<BenchResult> {
    await ready("guest", "kernel", "lab");
    const cache = cacheDir();
    const { vmlinux, version } = await buildKernel({ cacheDir: cache, progress: showProgress() });
    const guest = await testGuest(cache, undefined, showProgress());
    const files = [guest.initrd, guest.tools, guest.deno, await deviceImage(cache)];
    await using stage = await openStage({ files });
    const lab = new Lab(stage, vmlinux, guest);
    await lab.prepare();
    const results: Record<Way, JobResult[][]> = { worker: [], relayed: [], doorbells: [] };
    for (let run = 1; run <= runs; run++) {
      for (const way of Object.keys(ways) as Way[]) {
        progress(`run ${run} of ${runs}: ${ways[way]}`);
        results[way].push(await again(() => lab.reads(way)));
      }
    }
    progress("the loop");
    const slowdown = await again(() => lab.slowdown());
    const measurements = jobs.flatMap(({ name }, i) => linesOf(name, results, i));
    const quotients = jobs.map(({ name }, i) => {
      const iops = (way: Way) => median(results[way].map((run) => run[i].iops));
      return `${name}: ${(iops("doorbells") / iops("worker") * slowdown).toFixed(2)}`;
    });
    return {
      measurements,
      notes: [
        `Kernel ${version}, application VM 256 MiB, device VM 256 MiB, 1 vCPU each; ${IMAGE_MIB} MiB in a page cache; fio with O_DIRECT.`,
        `A loop of JavaScript takes ${
          slowdown.toFixed(2)
        } times as long in a guest as on its host. ` +
        `IOPS of direct doorbells over those of the worker, with that divided out: ${
          quotients.join("; ")
        }.`,
      ],
    };
  },
};

function linesOf(
  job: string,
  results: Readonly<Record<Way, JobResult[][]>>,
  index: number,
): Measurement[] {
  const values = (way: Way, of: keyof JobResult) => results[way].map((run) => run[index][of]);
  const beside = (way: Way, unit: string, better: "more" | "less", of: keyof JobResult) =>
    compare(`${job}: ${ways[way]}`, unit, better, values(way, of), {
      name: ways.worker,
      values: values("worker", of),
    });
  return (["relayed", "doorbells"] as const).flatMap((way) => [
    beside(way, "IOPS", "more", "iops"),
    beside(way, "µs", "less", "latency"),
  ]);
}

async function again<T>(attempt: () => Promise<T>): Promise<T> {
  for (let left = ATTEMPTS - 1;; left--) {
    try {
      return await attempt();
    } catch (error) {
      if (left === 0) throw error;
      console.error(`once more, since it failed: ${String(error).slice(0, 500)}`);
    }
  }
}

/** Where the VMs run. */
class Lab {
  constructor(
    private readonly stage: Stage,
    private readonly kernel: string,
    private readonly guest: {
      readonly initrd: string;
      readonly tools: string;
      readonly deno: string;
    },
  ) {}

  async prepare(): Promise<void> {
    await this.#must([
      ...["sh", "-c"],
      `mkdir -p ${FOLDER} && dd if=/dev/urandom of=${FOLDER}/disk.img bs=1M count=${IMAGE_MIB} 2>/dev/null`,
    ]);
  }

  async reads(way: Way): Promise<JobResult[]> {
    if (way === "worker") return await this.#fio(`${FOLDER}/disk.img`);
    await this.#must(["sh", "-c", `cat >${FOLDER}/provider.toml`], this.#provider(way));
    await this.#must([...spectrumCommand, "run", "--detach", `${FOLDER}/provider.toml`]);
    try {
      return await this.#fio("vm=provider");
    } finally {
      await this.#must([...spectrumCommand, "stop", "--force", "provider"]);
    }
  }

  /** How much longer the same program takes in a guest. */
  async slowdown(): Promise<number> {
    const loop = ["deno", "eval", LOOP];
    const host = await this.#must(loop);
    const script =
      `export HOME=/tmp DENO_DIR=/dev/null/deno DENO_NO_UPDATE_CHECK=1 NO_COLOR=1\ndeno eval '${LOOP}'`;
    const guest = await this.#must(
      this.#run("loop", script, "512M", [`${this.guest.deno},readonly`]),
    );
    return took(guest) / took(host);
  }

  async #fio(disk: string): Promise<JobResult[]> {
    const fio = (flags: string) =>
      `fio --name=j --filename=/dev/vda --readonly --direct=1 --ioengine=libaio ${flags} ` +
      `--time_based --runtime=${SECONDS} --ramp_time=1 --minimal | sed 's/^/fio;/'`;
    const script = ["cat /dev/vda >/dev/null", ...jobs.map(({ flags }) => fio(flags))].join("\n");
    const output = await this.#must(
      this.#run("bench", script, "256M", [disk, `${this.guest.tools},readonly`]),
    );
    const lines = [...output.matchAll(/^fio;(.*?)\r?$/gm)].map(([, line]) => line.split(";"));
    if (lines.length !== jobs.length) throw new Error(`fio did not do its jobs:\n${output}`);
    // fio's terse format, version 3: bandwidth in KiB/s, IOPS, and the mean of the latency in µs.
    return lines.map((line) => ({
      bytesPerSecond: Number(line[6]) * 1024,
      iops: Number(line[7]),
      latency: Number(line[39]),
    }));
  }

  #run(name: string, script: string, memory: string, disks: readonly string[]): string[] {
    const words = `quiet ${guestScript(script)}`;
    return [
      ...[...spectrumCommand, "run", "--name", name, "--kernel", this.kernel],
      ...["--initrd", this.guest.initrd, "--memory", memory, "--cmdline", words],
      ...disks.flatMap((disk) => ["--disk", disk]),
    ];
  }

  #provider(way: Way): string {
    return [
      `kernel = "${this.kernel}"`,
      'memory = "256M"',
      'cmdline = "quiet"',
      `wl.doorbells = ${way === "doorbells" ? 128 : 0}`,
      "[[disk]]",
      `path = "${FOLDER}/disk.img"`,
      "[[provides]]",
      'to = "bench"',
      'device = "disk0"',
      'kind = "blk"',
      'path = "/dev/vda"',
      'cache = "auto"',
    ].join("\n");
  }

  async #must(command: readonly string[], stdin?: string): Promise<string> {
    const { status, stdout, stderr } = await this.stage.run({ command, stdin, timeout: LIMIT });
    if (status !== 0) throw new Error(`${command.join(" ")}: ${status}\n${stderr}${stdout}`);
    return stdout;
  }
}

function took(output: string): number {
  const [, milliseconds] = /loop (\d+)/.exec(output) ?? [];
  if (milliseconds === undefined) throw new Error(`the loop did not end:\n${output}`);
  return Number(milliseconds);
}
