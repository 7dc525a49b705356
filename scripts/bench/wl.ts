import { buildKernel, cacheDir, showProgress } from "../../src/guest/mod.ts";
import { busyboxInitrd } from "../lab/mod.ts";
import { ready } from "../ready.ts";
import { root } from "../root.ts";
import { spectrumCommand } from "../spectrum_command.ts";
import { openStage, type Stage } from "../stage.ts";
import { type Bench, type BenchOptions, type BenchResult, compare } from "./measurement.ts";
import type { Way, WlHostOptions, WlHostResult } from "./wl_host.ts";

const RUNS = 5;
const ROUNDS = 200;
/** Bytes each way of a run; a console hands 16 at a time to its driver. */
const BYTES: Readonly<Record<Way, number>> = {
  context: 4 * 2 ** 20,
  console: 65536,
  port: 4 * 2 ** 20,
};
const MEMORY_MIB = 256;
const SOCKETS = { context: "/tmp/bench-context.sock", port: "/tmp/bench-port.sock" };
/** Seconds after which something hangs; a guest's boot may, in the lab. */
const LIMIT = 300;
const ATTEMPTS = 3;

/** Over every stream to the host that there is. */
const INIT = `
dmesg -n 1
runs=$(sed -n 's/.*bench.runs=\\([0-9]*\\).*/\\1/p' /proc/cmdline)
[ -e /dev/wl0 ] && wl_guest wl bench $runs ${ROUNDS} ${BYTES.context}
for port in /dev/vport*p1; do
  [ -e "$port" ] && wl_guest port "$port" $runs ${ROUNDS} ${BYTES.port}
done
[ -e /dev/wl0 ] && wl_guest port /dev/hvc0 $runs ${ROUNDS} ${BYTES.console}
sleep 1
end poweroff
`;

const PEERS: Readonly<Record<Exclude<Way, "context">, string>> = {
  console: "our virtio console",
  port: "QEMU's virtserialport",
};

const measures = [
  ["64 bytes to the host and back", "µs", "less"],
  ["bytes to the host", "MB/s", "more"],
  ["bytes to the guest", "MB/s", "more"],
] as const;

/** A context of Virtio Wayland beside virtio serial ports, with the same program in the same guest. */
export const wl: Bench = {
  name: "wl",
  summary: "round trip and throughput of a virtio-wl context, beside virtio serial ports",
  async run({ runs = RUNS, progress }: BenchOptions): Promise<BenchResult> {
    await ready("guest", "kernel", "lab");
    const cache = cacheDir();
    const { vmlinux, bzImage, version } = await buildKernel({
      cacheDir: cache,
      progress: showProgress(),
    });
    const initrd = await Deno.makeTempFile({ dir: cache, prefix: "bench-wl-" });
    try {
      await Deno.writeFile(initrd, await guestInitrd());
      await Deno.chmod(initrd, 0o644);
      await using stage = await openStage({ files: [initrd] });
      progress("two VMs, one of ours and one of QEMU's");
      const words = `quiet bench.runs=${runs}`;
      const options: WlHostOptions = {
        ...{ runs, rounds: ROUNDS, bytes: BYTES, sockets: SOCKETS },
        vms: [
          { command: ours(vmlinux, initrd, words), ways: ["context", "console"] },
          { command: qemu(bzImage, initrd, words), ways: ["port"] },
        ],
      };
      const result = await measured(stage, options);
      const values = (way: Way, i: number) => result[way].map((run) => run[i]);
      return {
        measurements: Object.entries(PEERS).flatMap(([way, name]) =>
          measures.map(([what, unit, better], i) =>
            compare(`${what}, beside ${name}`, unit, better, values("context", i), {
              name,
              values: values(way as Way, i),
            })
          )
        ),
        notes: [
          `Kernel ${version}, ${MEMORY_MIB} MiB, 1 vCPU; the guest's program is in C, the host's end of all streams is one program in Deno.`,
          "The console is /dev/hvc0, whose driver takes 16 bytes at a time, by way of the monitor's standard streams.",
          "The port is a QEMU guest with the same kernel, QEMU itself being the device.",
        ],
      };
    } finally {
      await Deno.remove(initrd);
    }
  },
};

async function measured(stage: Stage, options: WlHostOptions): Promise<WlHostResult> {
  for (let attempt = 1;; attempt++) {
    const { status, stdout, stderr } = await stage.run({
      command: [
        ...[Deno.execPath(), "run", "-A", "--no-check", `${root}scripts/bench/wl_host.ts`],
        JSON.stringify(options),
      ],
      timeout: LIMIT,
    });
    if (status === 0) return JSON.parse(stdout);
    if (attempt === ATTEMPTS) throw new Error(stderr);
    console.error(`once more, since it failed: ${stderr.slice(0, 500)}`);
  }
}

async function guestInitrd(): Promise<Uint8Array> {
  const program = await Deno.makeTempFile({ prefix: "spectrum-bench-" });
  try {
    const { success, stderr } = await new Deno.Command("gcc", {
      args: [
        ...["-O2", "-Wall", "-Wextra", "-static", "-s", "-o", program],
        `${root}scripts/bench/wl_guest.c`,
      ],
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return await busyboxInitrd(INIT, undefined, [
      { kind: "file", path: "bin/wl_guest", data: await Deno.readFile(program), mode: 0o755 },
    ]);
  } finally {
    await Deno.remove(program);
  }
}

const ours = (kernel: string, initrd: string, words: string) => [
  ...[...spectrumCommand, "run", "--name", "bench", "--kernel", kernel, "--initrd", initrd],
  ...["--cmdline", words, "--memory", `${MEMORY_MIB}M`, "--console-device", "virtio"],
  ...["--wl-socket", `bench=${SOCKETS.context}`],
];

const qemu = (kernel: string, initrd: string, words: string) => [
  ...["qemu-system-x86_64", "-M", "q35,accel=kvm", "-cpu", "host", "-m", `${MEMORY_MIB}`],
  ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"],
  ...["-kernel", kernel, "-initrd", initrd, "-append", `console=ttyS0 panic=-1 ${words}`],
  ...["-chardev", `socket,id=port,path=${SOCKETS.port}`, "-device", "virtio-serial-pci"],
  ...["-device", "virtserialport,chardev=port,name=bench"],
];
