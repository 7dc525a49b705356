import { join } from "node:path";
import {
  contextIdOf,
  type DiskConfig,
  type NetConfig,
  stableMac,
  type VmConfig,
  type VsockConfig,
  type WlConfig,
} from "../config/mod.ts";
import type { Fd } from "../os/mod.ts";
import { type Backend, ForeignBackend, WorkerBackend } from "./backend.ts";
import { type DeviceKind, deviceKinds } from "./device_kind.ts";
import type { SystemDisk } from "./boot_plan.ts";
import type { DeviceParts } from "./device_parts.ts";
import type { OnDeviceChange } from "./device_supervisor.ts";
import type { Dialer } from "./dialer.ts";
import { openDisk } from "./disk_image.ts";
import { DirectImage } from "./image_lock.ts";
import type { Host } from "./host.ts";
import { DoorbellHost } from "./doorbell_host.ts";
import { HostPorts } from "./host_ports.ts";
import { HostSockets } from "./host_sockets.ts";
import type { Log } from "./log.ts";
import { ratesOf } from "./rates_of.ts";
import { openTap } from "./net/open_tap.ts";
import { TapBackend } from "./net/tap_backend.ts";
import { UserNetBackend } from "./net/user_net_backend.ts";
import { ProviderBackend } from "./provide/provider_backend.ts";
import type { Provisions } from "./provide/provisions.ts";
import type { ImageId } from "./runtime_dir.ts";
import type { WorkerDevice, WorkerServices } from "./worker.ts";

/** Queues of a disk whose configuration does not say: one per vCPU, so many at most. */
const MOST_DEFAULT_QUEUES = 4;
/** Pairs of queues that a network device of another VM may have. */
const MOST_PAIRS = 8;
/** What a foreign backend may have. */
const FOREIGN_QUEUES = 16;

/** The virtio devices of a VM, with what their backends are handed. They outlive the guest's reboots. */
export interface VmDevices extends Disposable {
  readonly parts: readonly DeviceParts[];
  /** Images that this VM holds. */
  readonly images: readonly ImageId[];
  /** Those of them that are opened once more for each worker. */
  readonly reopened: readonly Fd[];
}

/** What is at hand when devices are opened. */
interface OpenContext {
  readonly host: Host;
  readonly log: Log;
  /** Path of the VM's runtime directory. */
  readonly runtime: string;
  /** The host's end of a virtio console, if the VM has one. */
  readonly hostConsole?: Fd;
  readonly provisions: Provisions;
  readonly onDeviceChange: OnDeviceChange;
  /** Disks of ours, the VM's last. */
  readonly disks?: readonly SystemDisk[];
}

/**
 * Opens what a VM's devices need.
 *
 * @throws {MachineError} naming the disk that cannot be used
 */
export function openDevices(config: VmConfig, context: OpenContext): VmDevices {
  using opening = new Opening(config, context);
  for (const [i, disk] of config.disk.entries()) opening.disk(`disk${i}`, disk);
  for (const { serial, path, readonly, disposable } of context.disks ?? []) {
    opening.disk(serial, { path, readonly, cache: "auto" });
    if (disposable) Deno.removeSync(path);
  }
  for (const [i, net] of config.net.entries()) opening.net(`net${i}`, net);
  if (config.rng !== undefined) opening.rng(config.rng.provider);
  opening.console(config.console.provider);
  if (config.vsock !== undefined) opening.vsock(config.vsock);
  if (config.wl !== undefined) opening.wl(config.wl);
  return opening.result();
}

/** Devices that are being opened; what they hold is closed with it, unless there is a result. */
class Opening implements Disposable {
  readonly #config: VmConfig;
  readonly #context: OpenContext;
  readonly #owned = new DisposableStack();
  readonly #parts: DeviceParts[] = [];
  readonly #images: ImageId[] = [];
  readonly #reopened: Fd[] = [];

  constructor(config: VmConfig, context: OpenContext) {
    this.#config = config;
    this.#context = context;
  }

  disk(name: string, disk: DiskConfig): void {
    const { path, socket, provider, readonly, cache, limit } = disk;
    const { blk } = deviceKinds;
    const elsewhere = provider !== undefined
      ? this.#provided(name, provider)
      : socket !== undefined
      ? new ForeignBackend(socket, this.#dialer)
      : undefined;
    if (elsewhere !== undefined) {
      return this.#add(name, blk, disk.queues ?? FOREIGN_QUEUES, elsewhere);
    }
    if (path === undefined) throw new Error(`${name} has neither path nor socket`);
    const { fd, id } = openDisk({ path, readonly, cache });
    this.#owned.use(fd);
    this.#images.push(id);
    const queues = disk.queues ?? Math.min(this.#config.cpus, MOST_DEFAULT_QUEUES);
    const held = {
      disk: fd.borrow(),
      readonly,
      cache,
      queues,
      serial: name,
      limit: ratesOf(limit),
    };
    const image = cache === "none" ? new DirectImage(fd) : undefined;
    if (image !== undefined) this.#reopened.push(fd);
    this.#add(name, blk, queues, this.#worker({ kind: "blk", ...held }, {}, image));
  }

  net(name: string, config: NetConfig): void {
    const { out, tap, provider, mac = stableMac(this.#config.name, name), mtu, queues = 1, limit } =
      config;
    const { host: { starter }, log, onDeviceChange: onChange } = this.#context;
    if (provider !== undefined) {
      this.#addNet(name, MOST_PAIRS, this.#provided(name, provider));
    } else if (out === "tap" && tap !== undefined) {
      const opened = openTap(tap, queues).map((queue) => this.#owned.use(queue));
      const about = { tap, mac, mtu, queues: opened, limit, log: log.for({ component: name }) };
      this.#addNet(name, queues, new TapBackend(starter, about));
    } else {
      const about = { device: name, config, mac, log: log.for({ component: name }), onChange };
      this.#addNet(name, 1, this.#owned.use(new UserNetBackend({ starter, ...about })));
    }
  }

  /** Behind the queues of all pairs is that of commands. */
  #addNet(name: string, pairs: number, backend: Backend): void {
    this.#add(name, deviceKinds.net, 2 * pairs + 1, backend);
  }

  rng(provider: string | undefined): void {
    const backend = provider === undefined
      ? this.#worker({ kind: "rng" })
      : this.#provided("rng", provider);
    this.#add("rng", deviceKinds.rng, 1, backend);
  }

  console(provider: string | undefined): void {
    const { hostConsole } = this.#context;
    if (provider !== undefined) {
      this.#add("console", deviceKinds.console, 2, this.#provided("console", provider));
    } else if (hostConsole !== undefined) {
      const [input, output] = [hostConsole.borrow(), hostConsole.borrow()];
      const backend = this.#worker({ kind: "console", input, output });
      this.#add("console", deviceKinds.console, 2, backend);
    }
  }

  vsock({ cid = contextIdOf(this.#config.name), provider }: VsockConfig): void {
    const { runtime, log } = this.#context;
    const { vsock } = deviceKinds;
    if (provider !== undefined) {
      return this.#add("vsock", vsock, 3, this.#provided("vsock", provider));
    }
    const ports = this.#owned.use(new HostPorts(join(runtime, "vsock.sock"), this.#dialer));
    const backend = this.#worker({ kind: "vsock", cid, listener: ports.listener.borrow() }, {
      connectPort: (port) => ports.connect(port),
      log: log.for({ component: "vsock" }),
    });
    this.#add("vsock", vsock, 3, backend, { vsock: { cid, socket: ports.path } });
  }

  wl({ region, memory, vfds, contexts, socket, sockets, doorbells: slots = 0 }: WlConfig): void {
    const sharedMemory = { sizes: [region], mappings: vfds };
    if (socket !== undefined) {
      return this.#add("wl", deviceKinds.wl, 2, new ForeignBackend(socket, this.#dialer), {
        sharedMemory,
      });
    }
    const { log, provisions } = this.#context;
    const named = new HostSockets(sockets, this.#dialer);
    const doorbells = slots > 0 ? new DoorbellHost(slots) : undefined;
    const backend = this.#worker(
      { kind: "wl", region, memory, vfds, contexts, doorbells: slots },
      {
        sockets: {
          names: [...named.names, ...provisions.names],
          open: (name) => provisions.open(name) ?? named.open(name),
        },
        doorbells,
        log: log.for({ component: "wl" }),
      },
    );
    this.#add("wl", deviceKinds.wl, 2, backend, { sharedMemory, doorbells });
  }

  result(): VmDevices {
    const held = this.#owned.move();
    return {
      parts: this.#parts,
      images: this.#images,
      reopened: this.#reopened,
      [Symbol.dispose]: () => held.dispose(),
    };
  }

  get #dialer(): Dialer {
    return this.#context.host.starter.paths;
  }

  #add(
    name: string,
    kind: DeviceKind,
    maxQueues: number,
    backend: Backend,
    more: Pick<DeviceParts, "sharedMemory" | "doorbells" | "vsock"> = {},
  ): void {
    this.#parts.push({ name, kind, backend, maxQueues, history: { restarts: 0 }, ...more });
  }

  #worker(device: WorkerDevice, services?: WorkerServices, image?: DirectImage): WorkerBackend {
    const { host, log } = this.#context;
    return new WorkerBackend(host.starter, device, { log, ...services }, image);
  }

  #provided(device: string, provider: string): ProviderBackend {
    const { host, log, runtime } = this.#context;
    return this.#owned.use(
      new ProviderBackend({
        ...{ provider: providerName(provider), user: this.#config.name, device, runtime },
        reactor: host.reactor,
        log: log.for({ component: device }),
      }),
    );
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** Names of the VMs in which backends of this one run, by device. */
export function providersOf({ disk, net, rng, console, vsock }: VmConfig): Record<string, string> {
  const all: [string, string | undefined][] = [
    ...disk.map(({ provider }, i): [string, string | undefined] => [`disk${i}`, provider]),
    ...net.map(({ provider }, i): [string, string | undefined] => [`net${i}`, provider]),
    ["rng", rng?.provider],
    ["console", console.provider],
    ["vsock", vsock?.provider],
  ];
  return Object.fromEntries(
    all.flatMap(([device, provider]) =>
      provider === undefined ? [] : [[device, providerName(provider)]]
    ),
  );
}

function providerName(provider: string): string {
  return provider.slice("vm:".length);
}
