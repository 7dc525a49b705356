import { buildKernel, cacheDir, fetchDebianKernel, showProgress } from "../../src/guest/mod.ts";
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
const INIT = `echo "${MARK}"\ngrep Mem /proc/meminfo\npoweroff\n`;
/** For what a boot takes of little memory. */
const SMALL_MEMORY_MIB = 128;
const CMDLINE = "console=ttyS0 quiet panic=-1";
/** Seconds after which a boot counts as failed. */
const LIMIT = 90;
const ATTEMPTS = 3;
const SIGKILL = 9;
/** Status of a command that took longer. */
const TIMED_OUT = 124;

/** A monitor that boots the kernel. */
interface Monitor {
  readonly name: string;
  command(kernel: string, initrd: string, mib: number): string[];
  /** What it prints just before it first enters the guest. */
  readonly enters: RegExp;
  /** Whether the host gives huge pages to shared memory meanwhile. */
  readonly hugePages: boolean;
}

/** Which shared memory has them; Linux's default is never. The memory of QEMU's guests is not shared, and has them. */
const SHARED_HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

/** One boot, in milliseconds from the start of the process. */
interface Boot {
  readonly entered: number;
  readonly init: number;
  readonly output: string;
}

const ours: Monitor = {
  name: "spectrum",
  command: (kernel, initrd, mib) => [
    `${root}dist/spectrum`,
    ...["--log-level", "debug", "run", "--kernel", kernel, "--initrd", initrd],
    ...["--memory", `${mib}M`, "--cmdline", "quiet"],
  ],
  enters: /enters the guest/,
  hugePages: false,
};

/** As docs/performance.md advises. */
const oursAsAdvised: Monitor = { ...ours, name: "spectrum, huge pages", hugePages: true };

const qemu = (machine: "microvm" | "q35"): Monitor => ({
  name: `qemu ${machine}`,
  command: (kernel, initrd, mib) => [
    ...["qemu-system-x86_64", "-M", `${machine},accel=kvm`, "-cpu", "host", "-m", `${mib}`],
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"],
    ...["-trace", "runstate_set", "-kernel", kernel, "-initrd", initrd, "-append", CMDLINE],
  ],
  // RUN_STATE_RUNNING is 9: the vCPUs are let go.
  enters: /new_state 9 /,
  hugePages: false,
});

/** A monitor that boots one of the kernels. */
interface Subject {
  readonly monitor: Monitor;
  readonly kernel: GuestKernel;
}

interface GuestKernel {
  /** What `uname -r` prints. */
  readonly version: string;
  readonly path: string;
  /** The same for QEMU's microvm: in the lab it hangs with a vmlinux whenever it traces. */
  readonly compressed: string;
}

/** Boots of our small kernel and of Debian's under our monitor and QEMU's, from process start to /init. */
export const boot: Bench = {
  name: "boot",
  summary:
    "time to /init beside QEMU's microvm and q35, with our kernel and Debian's; exits, memory",
  async run({ runs = RUNS, progress }: BenchOptions): Promise<BenchResult> {
    await ready("guest", "kernel", "lab");
    await compile();
    const cache = cacheDir();
    const built = await buildKernel({ cacheDir: cache, progress: showProgress() });
    const fetched = await fetchDebianKernel(cache, showProgress());
    const small = { version: built.version, path: built.vmlinux, compressed: built.bzImage };
    const debian = { version: fetched.version, path: fetched.vmlinuz, compressed: fetched.vmlinuz };
    const initrd = await Deno.makeTempFile({ dir: cache, prefix: "bench-boot-" });
    try {
      await Deno.writeFile(initrd, await busyboxInitrd(INIT, undefined));
      await Deno.chmod(initrd, 0o644);
      await using stage = await openStage({ files: [initrd] });
      await using pages = await SharedHugePages.of(stage);
      const monitors = [ours, ...pages.isOurs ? [oursAsAdvised] : [], qemu("q35"), qemu("microvm")];
      const subjects = [small, debian].flatMap((kernel) =>
        monitors.map((monitor): Subject => ({ monitor, kernel }))
      );
      const boots = await bootAll(stage, subjects, initrd, { runs, progress, pages });
      const own = (kernel: GuestKernel) =>
        boots[subjects.findIndex((one) => one.monitor === ours && one.kernel === kernel)];
      return {
        measurements: [
          ...measurementsOf(subjects, boots),
          ...spans.map(([name, span]) =>
            compare(`${name}, small kernel beside Debian's`, "ms", "less", own(small).map(span), {
              name: debian.version,
              values: own(debian).map(span),
            })
          ),
        ],
        notes: [
          `${MEMORY_MIB} MiB, 1 vCPU, quiet.`,
          ...pages.isOurs ? [] : [`Only root may change ${SHARED_HUGE_PAGES}: ${pages.before}.`],
          ...exitNotes(small, own(small)),
          ...exitNotes(debian, own(debian)),
          await memoryNote(stage, small, initrd),
          await memoryNote(stage, debian, initrd),
        ],
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

/** All in turn, so that what else goes on hits all of them. */
async function bootAll(
  stage: Stage,
  subjects: readonly Subject[],
  initrd: string,
  { runs, progress, pages }: Required<BenchOptions> & { readonly pages: SharedHugePages },
): Promise<Boot[][]> {
  const boots: Boot[][] = subjects.map(() => []);
  // The first round warms caches and does not count.
  for (let run = 0; run <= runs; run++) {
    for (const [i, { monitor, kernel }] of subjects.entries()) {
      const what = `${monitor.name}, ${kernel.version}`;
      progress(run === 0 ? `warm-up: ${what}` : `run ${run} of ${runs}: ${what}`);
      const image = monitor.name === "qemu microvm" ? kernel.compressed : kernel.path;
      await pages.set(monitor.hugePages ? "advise" : "never");
      const boot = await bootOnce(stage, monitor, monitor.command(image, initrd, MEMORY_MIB));
      if (run > 0) boots[i].push(boot);
    }
  }
  return boots;
}

/** The host's setting, which is as before when all is over. */
class SharedHugePages implements AsyncDisposable {
  /** @param isOurs whether we may change it */
  private constructor(
    private readonly stage: Stage,
    readonly before: string,
    readonly isOurs: boolean,
  ) {}

  static async of(stage: Stage): Promise<SharedHugePages> {
    const command = ["sh", "-c", `cat ${SHARED_HUGE_PAGES}; [ -w ${SHARED_HUGE_PAGES} ]`];
    const { status, stdout } = await stage.run({ command });
    return new SharedHugePages(stage, /\[(\w+)\]/.exec(stdout)?.[1] ?? "never", status === 0);
  }

  /** Does nothing when it is not ours to change. */
  async set(value: string): Promise<void> {
    if (!this.isOurs) return;
    const command = ["sh", "-c", `echo ${value} >${SHARED_HUGE_PAGES}`];
    const { status, stderr } = await this.stage.run({ command });
    if (status !== 0) throw new Error(`Cannot set ${SHARED_HUGE_PAGES} to ${value}: ${stderr}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.set(this.before);
  }
}

/** A boot that hangs is repeated: in the lab that happens to every monitor (docs/lab.md), and the time says nothing. */
async function bootOnce(stage: Stage, monitor: Monitor, command: string[]): Promise<Boot> {
  for (let attempt = 1;; attempt++) {
    const boot = await tryBoot(stage, monitor, command);
    if (typeof boot !== "string") return boot;
    console.error(`${monitor.name} did not boot within ${LIMIT} s:\n${boot}`);
    if (attempt === ATTEMPTS) throw new Error(`${monitor.name} hangs again and again`);
  }
}

/** What a hanging boot printed is given as a string. */
async function tryBoot(
  stage: Stage,
  { name, enters }: Monitor,
  command: string[],
): Promise<Boot | string> {
  const start = performance.now();
  const decoder = new TextDecoder();
  let output = "";
  let entered: number | undefined;
  let init: number | undefined;
  const process = await stage.spawn({
    command,
    timeout: LIMIT,
    onOutput: (bytes) => {
      output += decoder.decode(bytes, { stream: true });
      const now = performance.now() - start;
      if (enters.test(output)) entered ??= now;
      if (output.includes(MARK)) init ??= now;
      // QEMU's microvm does not always get as far as powering off, which is not what is measured.
      if (name.startsWith("qemu") && /MemAvailable.*\n/.test(output)) void process.signal(SIGKILL);
    },
  });
  await process.closeInput();
  const status = await process.status;
  if (status === TIMED_OUT) return output.slice(-2000);
  if (entered === undefined || init === undefined) {
    throw new Error(`${name} did not boot (status ${status}):\n${output.slice(-2000)}`);
  }
  return { entered, init, output };
}

/** What is measured of a boot, in milliseconds. */
const spans: readonly [string, (boot: Boot) => number][] = [
  ["process start to /init", (boot) => boot.init],
  ["first KVM_RUN to /init", (boot) => boot.init - boot.entered],
];

/** Ours, both ways, beside every other monitor with the same kernel. */
function measurementsOf(subjects: readonly Subject[], boots: readonly Boot[][]): Measurement[] {
  const both = [ours, oursAsAdvised];
  return subjects.flatMap(({ monitor, kernel }, i) => {
    if (both.includes(monitor)) return [];
    return both.flatMap((own) => {
      const mine = subjects.findIndex((one) => one.monitor === own && one.kernel === kernel);
      if (mine < 0) return [];
      const how = own.hugePages ? ", huge pages" : "";
      return spans.map(([name, span]) =>
        compare(
          `${name}, ${kernel.version}${how}, beside ${monitor.name}`,
          "ms",
          "less",
          boots[mine].map(span),
          { name: monitor.name, values: boots[i].map(span) },
        )
      );
    });
  });
}

function exitNotes({ version }: GuestKernel, own: readonly Boot[]): string[] {
  const exits = /exits=(\{.*?\})/.exec(own[own.length - 1].output)?.[1];
  const counts = Object.entries(JSON.parse(exits ?? "{}") as Record<string, number>);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  const kinds = counts.map(([reason, count]) => `${exitReasonName(Number(reason))} ${count}`);
  return [`Exits of ours with ${version}, until power-off: ${total} (${kinds.join(", ")}).`];
}

/** What a guest with little memory has left after its boot. */
async function memoryNote(stage: Stage, { version, path }: GuestKernel, initrd: string) {
  const { output } = await bootOnce(stage, ours, ours.command(path, initrd, SMALL_MEMORY_MIB));
  const [, total, available] = /MemTotal: +(\d+)[^]*MemAvailable: +(\d+)/.exec(output) ?? [];
  const mib = (kib: number) => (kib / 1024).toFixed(1);
  const taken = SMALL_MEMORY_MIB * 1024 - Number(available);
  const { size } = await Deno.stat(path);
  return `${version}: image ${mib(size / 1024)} MiB; of ${SMALL_MEMORY_MIB} MiB the kernel keeps ` +
    `${mib(SMALL_MEMORY_MIB * 1024 - Number(total))} for itself, ${
      mib(taken)
    } are taken after boot.`;
}
