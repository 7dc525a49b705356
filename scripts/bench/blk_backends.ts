import type { Job } from "./blk_driver.ts";

/** How the disk is to be read. */
export type Cache = "page cache" | "O_DIRECT";

/** A program that serves an image over vhost-user. */
export interface Backend {
  readonly name: string;
  command(image: string, socket: string, cache: Cache): string[];
}

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

/** Ours, in its sandbox. */
export const ours: Backend = {
  name: "spectrum",
  command: (image, socket, cache) => {
    const mode = cache === "O_DIRECT" ? "none" : "auto";
    const device = ["--socket", socket, "--disk", image, "--readonly", "--queues", "1"];
    return [Deno.execPath(), "run", "-A", MAIN, "device", "blk", ...device, "--cache", mode];
  },
};

/** qemu-storage-daemon: as it is when nothing is said, or with what is fastest for it. */
export function qemuStorageDaemon(tuned: boolean): Backend {
  return {
    name: tuned ? "q-s-d io_uring" : "q-s-d",
    command: (image, socket, cache) => {
      const file = [
        `driver=file,node-name=file0,filename=${image},read-only=on`,
        ...cache === "O_DIRECT" ? ["cache.direct=on"] : [],
        ...tuned ? ["aio=io_uring"] : [],
      ];
      const target =
        `type=vhost-user-blk,id=export0,node-name=disk0,addr.type=unix,addr.path=${socket}`;
      return [
        "qemu-storage-daemon",
        ...tuned ? ["--object", "iothread,id=io0"] : [],
        "--blockdev",
        file.join(","),
        "--blockdev",
        "driver=raw,node-name=disk0,file=file0,read-only=on",
        "--export",
        tuned ? `${target},iothread=io0` : target,
      ];
    },
  };
}

/** Starts a backend, uses it, ends it. What it said is in the error when the use fails. */
export async function withBackend<T>(
  backend: Backend,
  image: string,
  socket: string,
  cache: Cache,
  use: () => Promise<T>,
): Promise<T> {
  const [program, ...args] = backend.command(image, socket, cache);
  await Deno.remove(socket).catch(() => {});
  const process = new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const said = new Response(process.stderr).text();
  try {
    return await use();
  } catch (error) {
    end(process);
    const text = (await said).trim();
    throw new Error(
      `${backend.name}: ${(error as Error).message}${text === "" ? "" : `\n${text}`}`,
    );
  } finally {
    end(process);
    await process.status;
    await said;
  }
}

function end(process: Deno.ChildProcess): void {
  try {
    process.kill("SIGTERM");
  } catch {
    // It has ended already.
  }
}

/** fio does the same reads itself, without a frontend: the most that the disk gives. */
export async function fio(
  image: string,
  job: Job,
): Promise<{ iops: number; bytesPerSecond: number }> {
  const { stdout, stderr, success } = await new Deno.Command("fio", {
    args: [
      "--name=job",
      `--filename=${image}`,
      "--readonly",
      "--ioengine=io_uring",
      "--direct=1",
      `--rw=${job.pattern === "seq" ? "read" : "randread"}`,
      `--bs=${job.block}`,
      `--iodepth=${job.depth}`,
      `--runtime=${job.seconds}`,
      "--ramp_time=500ms",
      "--time_based",
      "--output-format=json",
    ],
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  if (!success) throw new Error(`fio failed: ${text.decode(stderr).trim()}`);
  const result = JSON.parse(text.decode(stdout)) as {
    jobs: { read: { iops: number; bw_bytes: number } }[];
  };
  const { iops, bw_bytes: bytesPerSecond } = result.jobs[0].read;
  return { iops, bytesPerSecond };
}
