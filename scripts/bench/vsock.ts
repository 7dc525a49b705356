import { buildKernel, cacheDir, showProgress } from "../../src/guest/mod.ts";
import { busyboxInitrd } from "../lab/mod.ts";
import { ready } from "../ready.ts";
import { root } from "../root.ts";
import { spectrumCommand } from "../spectrum_command.ts";
import { openStage, type Stage } from "../stage.ts";
import { type Bench, type BenchOptions, type BenchResult, compare } from "./measurement.ts";

const RUNS = 3;
const MIB = 64;
const ROUNDS = 2000;
const MEMORY_MIB = 256;
/** Where our VM's ports of the host are, below its runtime directory. */
const VM = "bench-vsock";
const CID = 77;
/** Seconds after which something hangs; a guest's boot may, in the lab. */
const LIMIT = 300;
const ATTEMPTS = 3;

/** What the guest does, again and again. */
const INIT = `
dmesg -n 1
for i in $(seq $(sed -n 's/.*bench.runs=\\([0-9]*\\).*/\\1/p' /proc/cmdline)); do
  vsock bulk send 7001 ${MIB}
  vsock bulk receive 7002 ${MIB}
  vsock turns 7003 ${ROUNDS}
done
sleep 1
end poweroff
`;

const measures = [
  ["bytes to the host", "MiB/s", "more"],
  ["bytes to the guest", "MiB/s", "more"],
  ["a byte to the host and back", "µs", "less"],
] as const;

/** Values of each run, in the order of {@linkcode measures}. */
type Runs = readonly (readonly number[])[];

/** Sockets between guest and host, beside those of the kernel (vhost-vsock) under QEMU. */
export const vsock: Bench = {
  name: "vsock",
  summary: "throughput and round trip of vsock, beside QEMU with the kernel's vhost-vsock",
  async run({ runs = RUNS, progress }: BenchOptions): Promise<BenchResult> {
    await ready("guest", "kernel", "lab");
    const cache = cacheDir();
    const { vmlinux, bzImage, version } = await buildKernel({
      cacheDir: cache,
      progress: showProgress(),
    });
    using folder = new Folder(cache);
    const initrd = await folder.write("initrd", await guestInitrd(folder));
    const host = await folder.compile("vsock_host", `${root}scripts/bench/vsock_host.c`);
    await using stage = await openStage({ files: [initrd, host] });
    const words = `quiet bench.runs=${runs}`;
    progress("our VM");
    const runtime =
      `\${XDG_RUNTIME_DIR:-/run/spectrum-$(id -u)}\${XDG_RUNTIME_DIR:+/spectrum}/${VM}`;
    const values = await measured(stage, ours(vmlinux, initrd, words), [
      host,
      "unix",
      `${runtime}/vsock.sock`,
    ]);
    progress("QEMU's");
    const peer = await measured(stage, qemu(bzImage, initrd, words), [host, "vsock"]);
    return {
      measurements: measures.map(([what, unit, better], i) =>
        compare(what, unit, better, values.map((run) => run[i]), {
          name: "QEMU, vhost-vsock",
          values: peer.map((run) => run[i]),
        })
      ),
      notes: [
        `Kernel ${version}, ${MEMORY_MIB} MiB, 1 vCPU; ${MIB} MiB each way, ${ROUNDS} rounds; programs in C at both ends.`,
        "The peer's device is in the host's kernel, and its host end AF_VSOCK; ours is a process, and its host end a Unix socket.",
      ],
    };
  },
};

/** Lets a VM measure, beside what serves it on the host. */
async function measured(
  stage: Stage,
  vm: readonly string[],
  [program, ...words]: readonly string[],
): Promise<Runs> {
  const quoted = vm.map((word) => `'${word}'`).join(" ");
  // Our VM's runtime directory is there only while it runs.
  const script = `modprobe vhost_vsock 2>/dev/null
${quoted} >/tmp/vsock.out 2>&1 </dev/null & vm=$!
path="${words[1] ?? ""}"
[ -n "$path" ] && while kill -0 $vm && [ ! -S "$path" ]; do sleep 0.1; done
MIB=${MIB} ${program} ${words[0]} $path & host=$!
wait $vm
pkill -P $host; kill $host
cat /tmp/vsock.out`;
  for (let attempt = 1;; attempt++) {
    const { status, stdout, stderr } = await stage.run({
      command: ["sh", "-c", script],
      timeout: LIMIT,
    });
    const values = [...stdout.matchAll(/@(?:bulk|turns)=([\d.]+)/g)].map(([, value]) =>
      Number(value)
    );
    if (status === 0 && values.length > 0 && values.length % measures.length === 0) {
      return Array.from(
        { length: values.length / measures.length },
        (_, i) => values.slice(i * measures.length, (i + 1) * measures.length),
      );
    }
    if (attempt === ATTEMPTS) throw new Error(`${stdout}${stderr}`);
    console.error(`once more, since it failed: ${(stdout + stderr).slice(-500)}`);
  }
}

async function guestInitrd(folder: Folder): Promise<Uint8Array> {
  const program = await folder.compile("vsock", `${root}tests/vsock/vsock_guest.c`);
  return await busyboxInitrd(INIT, undefined, [
    { kind: "file", path: "bin/vsock", data: await Deno.readFile(program), mode: 0o755 },
  ]);
}

const ours = (kernel: string, initrd: string, words: string) => [
  ...[...spectrumCommand, "run", "--name", VM, "--kernel", kernel, "--initrd", initrd],
  ...["--cmdline", words, "--memory", `${MEMORY_MIB}M`, "--vsock"],
];

const qemu = (kernel: string, initrd: string, words: string) => [
  ...["qemu-system-x86_64", "-M", "q35,accel=kvm", "-cpu", "host", "-m", `${MEMORY_MIB}`],
  ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"],
  ...["-kernel", kernel, "-initrd", initrd, "-append", `console=ttyS0 panic=-1 ${words}`],
  ...["-device", `vhost-vsock-pci,guest-cid=${CID}`],
];

/** A folder for what is made here, that is gone when it is disposed of. */
class Folder implements Disposable {
  readonly #path: string;

  constructor(where: string) {
    this.#path = Deno.makeTempDirSync({ dir: where, prefix: "bench-vsock-" });
    Deno.chmodSync(this.#path, 0o755);
  }

  async write(name: string, data: Uint8Array): Promise<string> {
    const path = `${this.#path}/${name}`;
    await Deno.writeFile(path, data);
    return path;
  }

  async compile(name: string, source: string): Promise<string> {
    const path = `${this.#path}/${name}`;
    const { success, stderr } = await new Deno.Command("gcc", {
      args: ["-O2", "-Wall", "-Wextra", "-static", "-s", "-o", path, source],
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return path;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#path, { recursive: true });
  }
}
