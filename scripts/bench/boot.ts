import { cacheDir, fetchDebianKernel, showProgress } from "../../src/guest/mod.ts";
import { exitReasonName } from "../../src/kvm/mod.ts";
import { busyboxInitrd } from "../lab/mod.ts";
import { ready } from "../ready.ts";
import { root } from "../root.ts";
import { openStage, type Stage } from "../stage.ts";
import {
  type Bench,
  type BenchOptions,
  type BenchResult,
  compare,
  type Measurement,
} from "./measurement.ts";

const RUNS = 5;
const MEMORY_MIB = 256;
/** What the guest's init prints first of all. */
const MARK = "bench: init";
const CMDLINE = "console=ttyS0 quiet panic=-1";
/** Seconds after which a boot counts as failed. */
const LIMIT = 120;

/** A monitor that boots the kernel. */
interface Monitor {
  readonly name: string;
  command(kernel: string, initrd: string): string[];
  /** What it prints just before it first enters the guest. */
  readonly enters: RegExp;
}

/** One boot, in milliseconds from the start of the process. */
interface Boot {
  readonly entered: number;
  readonly init: number;
  readonly output: string;
}

const ours: Monitor = {
  name: "spectrum",
  command: (kernel, initrd) => [
    `${root}dist/spectrum`,
    ...["--log-level", "debug", "run", "--kernel", kernel, "--initrd", initrd],
    ...["--memory", `${MEMORY_MIB}M`, "--cmdline", "quiet"],
  ],
  enters: /enters the guest/,
};

const qemu = (machine: "microvm" | "q35"): Monitor => ({
  name: `qemu ${machine}`,
  command: (kernel, initrd) => [
    ...["qemu-system-x86_64", "-M", `${machine},accel=kvm`, "-cpu", "host", "-m", `${MEMORY_MIB}`],
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"],
    ...["-trace", "runstate_set", "-kernel", kernel, "-initrd", initrd, "-append", CMDLINE],
  ],
  // RUN_STATE_RUNNING is 9: the vCPUs are let go.
  enters: /new_state 9 /,
});

/** Boots of the same kernel and initramfs under our monitor and QEMU's, from process start to /init. */
export const boot: Bench = {
  name: "boot",
  summary: "time to /init beside QEMU's microvm and q35, and our exits by kind",
  async run({ runs = RUNS, progress }: BenchOptions): Promise<BenchResult> {
    await ready("guest", "lab");
    await compile();
    const kernel = await fetchDebianKernel(cacheDir(), showProgress());
    const initrd = await Deno.makeTempFile({ dir: cacheDir(), prefix: "bench-boot-" });
    try {
      await Deno.writeFile(initrd, await busyboxInitrd(`echo "${MARK}"\npoweroff\n`, undefined));
      await Deno.chmod(initrd, 0o644);
      await using stage = await openStage({ files: [initrd] });
      const monitors = [ours, qemu("q35"), qemu("microvm")];
      const boots = await bootAll(stage, monitors, { kernel: kernel.vmlinuz, initrd }, {
        runs,
        progress,
      });
      return {
        measurements: measurementsOf(monitors, boots),
        notes: notesOf(kernel.version, boots),
      };
    } finally {
      await Deno.remove(initrd);
    }
  },
};

/** The program as its users have it. */
async function compile(): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", `${root}scripts/compile.ts`, "--self-contained"],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** All monitors in turn, so that what else goes on hits all of them. */
async function bootAll(
  stage: Stage,
  monitors: readonly Monitor[],
  { kernel, initrd }: { kernel: string; initrd: string },
  { runs, progress }: Required<BenchOptions>,
): Promise<Boot[][]> {
  const boots: Boot[][] = monitors.map(() => []);
  // The first round warms caches and does not count.
  for (let run = 0; run <= runs; run++) {
    for (const [i, monitor] of monitors.entries()) {
      progress(run === 0 ? `warm-up: ${monitor.name}` : `run ${run} of ${runs}: ${monitor.name}`);
      const boot = await bootOnce(stage, monitor, monitor.command(kernel, initrd));
      if (run > 0) boots[i].push(boot);
    }
  }
  return boots;
}

async function bootOnce(stage: Stage, { name, enters }: Monitor, command: string[]): Promise<Boot> {
  const start = performance.now();
  const decoder = new TextDecoder();
  let output = "";
  let entered: number | undefined;
  let init: number | undefined;
  const { status } = await stage.run({
    command,
    timeout: LIMIT,
    onOutput: (bytes) => {
      output += decoder.decode(bytes, { stream: true });
      const now = performance.now() - start;
      if (enters.test(output)) entered ??= now;
      if (output.includes(MARK)) init ??= now;
    },
  });
  if (entered === undefined || init === undefined) {
    throw new Error(`${name} did not boot (status ${status}):\n${output.slice(-2000)}`);
  }
  return { entered, init, output };
}

function measurementsOf(monitors: readonly Monitor[], boots: readonly Boot[][]): Measurement[] {
  const [own, ...others] = boots;
  const spans: [string, (boot: Boot) => number][] = [
    ["process start to /init", (boot) => boot.init],
    ["first KVM_RUN to /init", (boot) => boot.init - boot.entered],
  ];
  return spans.flatMap(([name, span]) =>
    others.map((other, i) =>
      compare(`${name}, beside ${monitors[i + 1].name}`, "ms", "less", own.map(span), {
        name: monitors[i + 1].name,
        values: other.map(span),
      })
    )
  );
}

function notesOf(version: string, [own]: readonly Boot[][]): string[] {
  const exits = /exits=(\{.*?\})/.exec(own[own.length - 1].output)?.[1];
  const counts = Object.entries(JSON.parse(exits ?? "{}") as Record<string, number>);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  const kinds = counts.map(([reason, count]) => `${exitReasonName(Number(reason))} ${count}`).join(
    ", ",
  );
  return [
    `Kernel ${version}, ${MEMORY_MIB} MiB, 1 vCPU, quiet; until power-off.`,
    `Exits of ours in the last run: ${total} (${kinds}).`,
  ];
}
