import {
  cacheDir,
  fetchDebianKernel,
  type GuestKernel,
  showProgress,
} from "../../src/guest/mod.ts";
import { DeviceProcess } from "../../tests/interop/device_process.ts";
import { NetNamespace } from "../../tests/interop/net_namespace.ts";
import { runQemuGuest } from "../../tests/interop/qemu_guest.ts";
import { ready } from "../ready.ts";
import { root } from "../root.ts";
import {
  type Bench,
  type BenchOptions,
  type BenchResult,
  compare,
  type Measurement,
} from "./measurement.ts";
import { processorTime } from "./processor_time.ts";

const RUNS = 3;
const SECONDS = 3;
const PORT = 7010;
const PASST = { address: "192.0.2.2", gateway: "192.0.2.1" };
const TAP = { address: "10.9.0.2", gateway: "10.9.0.1" };

/** Both ends of a tap, and what passt takes its addresses from. */
const INTERFACES = `
ip tuntap add vmtap mode tap vnet_hdr
ip addr add ${TAP.gateway}/24 dev vmtap
ip link set vmtap up
ip link add up0 type veth peer name up1
ip link set up1 up
ip addr add ${PASST.address}/24 dev up0
ip link set up0 up
ip route add default via ${PASST.gateway}
`;

/** What the guest does, for so many seconds each. */
const works = ["down", "up", "ask"] as const;
type Work = typeof works[number];

/** The way out of the guest. */
interface Way {
  readonly name: string;
  readonly isTap: boolean;
  readonly mtu: number;
}

const ways: readonly Way[] = [
  { name: "tap", isTap: true, mtu: 1500 },
  { name: "passt", isTap: false, mtu: 65520 },
  { name: "passt, MTU 1500", isTap: false, mtu: 1500 },
];

/** What a guest measured in one boot: bytes or answers per second, and the processor time for each work. */
type Figures = Record<Work, { readonly rate: number; readonly processor: number }>;

function script({ isTap, mtu }: Way): string {
  const { address, gateway } = isTap ? TAP : PASST;
  return `
ip link set lo up
ip link set eth0 mtu ${mtu} up
ip addr add ${address}/24 dev eth0
ip route add default via ${gateway}
for work in ${works.join(" ")}; do
  say begin $work
  say $work $(net_load $work ${gateway} ${PORT} ${SECONDS})
done
`;
}

/** A place with its interfaces, a server, and a passt for each guest. */
class Stand implements AsyncDisposable {
  private constructor(
    private readonly namespace: NetNamespace,
    private readonly kernel: GuestKernel,
    private readonly folder: string,
    private readonly server: Deno.ChildProcess,
  ) {}

  static async open(kernel: GuestKernel): Promise<Stand> {
    const folder = await Deno.makeTempDir({ prefix: "spectrum-bench-" });
    await Deno.chmod(folder, 0o777);
    const load = `${folder}/net_load`;
    const flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", load];
    const { success, stderr } = await new Deno.Command("gcc", {
      args: [...flags, `${root}scripts/bench/net_load.c`],
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const namespace = await NetNamespace.create();
    await namespace.run(INTERFACES);
    const server = namespace.spawn([load, "serve", String(PORT)]);
    return new Stand(namespace, kernel, folder, server);
  }

  /** One boot of a guest with our device, or QEMU's own. */
  async measure(way: Way, isOurs: boolean): Promise<Figures> {
    await using others = new AsyncDisposableStack();
    const pids: number[] = [];
    const passt = `${this.folder}/passt.sock`;
    if (!way.isTap) {
      const process = this.#startPasst(passt);
      pids.push(process.pid);
      others.defer(() => ended(process));
      await appears(passt);
    }
    const socket = `${this.folder}/net.sock`;
    await Deno.remove(socket).catch(() => {});
    if (isOurs) {
      const words = way.isTap ? ["--tap", "vmtap"] : ["--stream", passt];
      const device = others.use(
        await DeviceProcess.start("net", socket, words, this.namespace.enter),
      );
      pids.push(device.pid);
    }
    const netdev = isOurs
      ? ["-chardev", `socket,id=c,path=${socket}`, "-netdev", "vhost-user,id=n,chardev=c"]
      : way.isTap
      ? ["-netdev", "tap,id=n,ifname=vmtap,script=no,downscript=no,vhost=off"]
      : ["-netdev", `stream,id=n,server=off,addr.type=unix,addr.path=${passt}`];
    const times = new Map<string, number>();
    const { reports } = await runQemuGuest({
      kernel: this.kernel,
      cpus: 1,
      modules: ["virtio_pci", "virtio_net"],
      files: [{
        kind: "file",
        path: "bin/net_load",
        mode: 0o755,
        data: await Deno.readFile(`${this.folder}/net_load`),
      }],
      script: script(way),
      within: this.namespace.enter,
      // See tests/interop/net_qemu_test.ts.
      arguments: [...netdev, "-device", "virtio-net-pci,netdev=n,romfile=,vectors=0"],
      onStart: (pid) => pids.push(pid),
      onReport(name, value) {
        if (name === "begin") times.set(value, -processorTime(pids));
        else if (times.has(name)) times.set(name, (times.get(name) ?? 0) + processorTime(pids));
      },
    });
    const figures = works.map((work) => {
      const rate = Number(reports.get(work));
      if (!(rate > 0)) throw new Error(`The guest did not measure "${work}".`);
      return [work, { rate, processor: times.get(work) ?? 0 }];
    });
    return Object.fromEntries(figures) as Figures;
  }

  #startPasst(socket: string): Deno.ChildProcess {
    return this.namespace.spawn(
      ["passt", "--foreground", "--quiet", "--ipv4-only", "--socket", socket, "--runas", "0"],
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ended(this.server);
    await this.namespace[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

async function ended(process: Deno.ChildProcess): Promise<void> {
  try {
    process.kill("SIGTERM");
  } catch {
    // It has ended by itself.
  }
  await Promise.all([process.stdout.cancel(), process.stderr.cancel(), process.status]);
}

async function appears(path: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await Deno.stat(path).then(() => true, () => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${path} does not appear.`);
}

function lines(
  { name, isTap }: Way,
  ours: readonly Figures[],
  peers: readonly Figures[],
): Measurement[] {
  const peer = isTap ? "QEMU, tap" : "QEMU, stream";
  const line = (
    what: string,
    unit: string,
    better: "more" | "less",
    pick: (figures: Figures) => number,
  ) =>
    compare(`${name}, ${what}`, unit, better, ours.map(pick), {
      name: peer,
      values: peers.map(pick),
    });
  const perGigabyte = (work: "down" | "up") => (figures: Figures) =>
    figures[work].processor / (figures[work].rate * SECONDS / 1e9);
  return [
    line("to the guest", "MB/s", "more", ({ down }) => down.rate / 1e6),
    line("to the guest, CPU", "s/GB", "less", perGigabyte("down")),
    line("from the guest", "MB/s", "more", ({ up }) => up.rate / 1e6),
    line("from the guest, CPU", "s/GB", "less", perGigabyte("up")),
    line("1 byte and back", "1/s", "more", ({ ask }) => ask.rate),
  ];
}

/** Our network device beside QEMU's own, with the same guest and the same way out. */
export const net: Bench = {
  name: "net",
  summary: "TCP through our net worker and QEMU's virtio-net, over a tap and over passt",
  async run({ runs = RUNS, progress }: BenchOptions): Promise<BenchResult> {
    await ready("guest", "bench");
    const kernel = await fetchDebianKernel(cacheDir(), showProgress());
    await using stand = await Stand.open(kernel);
    const measurements: Measurement[] = [];
    for (const way of ways) {
      const ours: Figures[] = [];
      const peers: Figures[] = [];
      for (let run = 0; run < runs; run++) {
        progress(`${way.name}, run ${run + 1} of ${runs}: spectrum`);
        ours.push(await stand.measure(way, true));
        progress(`${way.name}, run ${run + 1} of ${runs}: QEMU`);
        peers.push(await stand.measure(way, false));
      }
      measurements.push(...lines(way, ours, peers));
    }
    return {
      measurements,
      notes: [
        "the guest is emulated (TCG) on both sides, and takes most of the time",
        "the processor time is that of QEMU, of our worker and its monitor, and of passt",
      ],
    };
  },
};
