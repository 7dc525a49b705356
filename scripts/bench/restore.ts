import { buildKernel, cacheDir, showProgress } from "../../src/guest/mod.ts";
import { DrivenVms } from "../driven_vm.ts";
import { busyboxInitrd } from "../lab/mod.ts";
import { ready } from "../ready.ts";
import { openStage } from "../stage.ts";
import { type Bench, type BenchOptions, type BenchResult, compare, median } from "./measurement.ts";

const RUNS = 3;
const MEMORY = "512M";
/** MiB of memory that the guest fills before it is saved: nothing, and so much. */
const FILLED_MIB = 256;
const SNAPSHOT = "/scratch/bench-snapshot";

/** Fills memory as the command line says, and then prints again and again. */
const INIT = `
mib=$(sed -n 's/.*fill=\\([0-9]*\\).*/\\1/p' /proc/cmdline)
echo "bench: init"
mount -t tmpfs -o size=90% tmpfs /mnt
tr '\\0' x </dev/zero | head -c \${mib}m >/mnt/fill
i=0
while :; do i=$((i+1)); echo "tick-$i-"; usleep 20000; done
`;

/** From the start of a process to what its guest prints next: restored, beside booted. */
export const restore: Bench = {
  name: "restore",
  summary: "time from a saved VM to its guest's next output, beside a cold boot; per 100 MiB",
  async run({ runs = RUNS, progress }: BenchOptions): Promise<BenchResult> {
    await ready("guest", "kernel", "lab");
    const cache = cacheDir();
    const { vmlinux, version } = await buildKernel({ cacheDir: cache, progress: showProgress() });
    const initrd = await Deno.makeTempFile({ dir: cache, prefix: "bench-restore-" });
    try {
      await Deno.writeFile(initrd, await busyboxInitrd(INIT, undefined));
      await Deno.chmod(initrd, 0o644);
      await using stage = await openStage({ files: [initrd] });
      const vms = await DrivenVms.bring(stage);
      const times = { boot: [] as number[], small: [] as number[], large: [] as number[] };
      const saved = { small: 0, large: 0, took: [] as number[] };
      for (const [size, mib] of [["small", 0], ["large", FILLED_MIB]] as const) {
        const dir = `${SNAPSHOT}-${size}`;
        await stage.run({ command: ["rm", "-rf", dir] });
        const input = { name: "bench", kernel: vmlinux, initrd, memory: MEMORY };
        const end = async (vm: Awaited<ReturnType<typeof vms.start>>) => {
          await vm.process.write("quit\n");
          await vm.process.status;
        };
        // The first boot warms caches and does not count.
        for (let run = 0; run <= runs && size === "small"; run++) {
          progress(`boot ${run} of ${runs}`);
          const start = performance.now();
          const vm = await vms.start({ ...input, cmdline: "quiet fill=0" });
          await vm.seen(/bench: init/);
          if (run > 0) times.boot.push(performance.now() - start);
          await end(vm);
        }
        progress(`a VM with ${mib} MiB filled is saved`);
        const vm = await vms.start({ ...input, cmdline: `quiet fill=${mib}` });
        await vm.seen(/tick-5-/);
        await vm.order("pause");
        saved.took.push(await vm.order(`snapshot ${dir}`));
        await end(vm);
        const { stdout } = await stage.run({ command: ["du", "-k", dir] });
        saved[size] = Number.parseInt(stdout, 10) / 1024;
        for (let run = 0; run <= runs; run++) {
          progress(`restore ${run} of ${runs}, ${mib} MiB filled`);
          const start = performance.now();
          const restored = await vms.start({}, dir);
          await restored.seen(/tick-\d+-/);
          if (run > 0) times[size].push(performance.now() - start);
          await end(restored);
        }
        await stage.run({ command: ["rm", "-rf", dir] });
      }
      const perHundred = (median(times.large) - median(times.small)) /
        (saved.large - saved.small) * 100;
      const mib = (value: number) => `${value.toFixed(0)} MiB`;
      return {
        measurements: [
          compare("process start to the guest's next output", "ms", "less", times.small, {
            name: "cold boot to /init",
            values: times.boot,
          }),
          compare(`the same, ${FILLED_MIB} MiB more touched`, "ms", "less", times.large, {
            name: "cold boot to /init",
            values: times.boot,
          }),
          compare("restore, per 100 MiB touched", "ms", "less", [perHundred]),
        ],
        notes: [
          `Kernel ${version}, ${MEMORY}, 1 vCPU. The snapshots hold ${mib(saved.small)} and ${
            mib(saved.large)
          } and took ${saved.took.join(" and ")} ms to write.`,
          "The program runs from a bundle by the runtime, and not as one file: both alike.",
        ],
      };
    } finally {
      await Deno.remove(initrd);
    }
  },
};
