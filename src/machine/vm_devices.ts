import type { DiskConfig, VmConfig, WlConfig } from "../config/mod.ts";
import type { Fd } from "../os/mod.ts";
import { type Backend, ForeignBackend, WorkerBackend } from "./backend.ts";
import { type DeviceKind, deviceKinds } from "./device_kind.ts";
import type { DeviceParts } from "./device_parts.ts";
import { openDisk } from "./disk_image.ts";
import type { Host } from "./host.ts";
import { DoorbellHost } from "./doorbell_host.ts";
import { HostSockets } from "./host_sockets.ts";
import type { Log } from "./log.ts";
import { ProviderBackend } from "./provide/provider_backend.ts";
import type { Provisions } from "./provide/provisions.ts";
import type { ImageId } from "./runtime_dir.ts";

/** Queues of a disk whose configuration does not say: one per vCPU, so many at most. */
const MOST_DEFAULT_QUEUES = 4;
/** What a foreign backend may have. */
const FOREIGN_QUEUES = 16;

/** The virtio devices of a VM, with what their backends are handed. They outlive the guest's reboots. */
export interface VmDevices extends Disposable {
  readonly parts: readonly DeviceParts[];
  /** Images that this VM holds. */
  readonly images: readonly ImageId[];
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
  /** A read-only image of ours, the VM's last disk. */
  readonly system?: string;
}

/**
 * Opens what a VM's devices need.
 *
 * @throws {MachineError} naming the disk that cannot be used
 */
export function openDevices(config: VmConfig, context: OpenContext): VmDevices {
  const { host, hostConsole, system } = context;
  using owned = new DisposableStack();
  const parts: DeviceParts[] = [];
  const images: ImageId[] = [];
  const add = (
    name: string,
    kind: DeviceKind,
    maxQueues: number,
    backend: Backend | string,
    more: Pick<DeviceParts, "sharedMemory" | "doorbells"> = {},
  ) => {
    const history = { restarts: 0 };
    const found = typeof backend === "string"
      ? owned.use(providerBackend(name, backend, config.name, context))
      : backend;
    parts.push({ name, kind, backend: found, maxQueues, history, ...more });
  };
  const addDisk = (name: string, disk: DiskConfig) => {
    const { path, socket, provider, readonly, cache } = disk;
    if (provider !== undefined) {
      return add(name, deviceKinds.blk, disk.queues ?? FOREIGN_QUEUES, provider);
    }
    if (socket !== undefined) {
      return add(name, deviceKinds.blk, disk.queues ?? FOREIGN_QUEUES, new ForeignBackend(socket));
    }
    if (path === undefined) throw new Error(`${name} has neither path nor socket`);
    const { fd, id } = openDisk({ path, readonly, cache });
    owned.use(fd);
    images.push(id);
    const queues = disk.queues ?? Math.min(config.cpus, MOST_DEFAULT_QUEUES);
    const worker = {
      kind: "blk",
      disk: fd.borrow(),
      readonly,
      cache,
      queues,
      serial: name,
    } as const;
    add(name, deviceKinds.blk, queues, new WorkerBackend(host.starter, worker));
  };
  for (const [i, disk] of config.disk.entries()) addDisk(`disk${i}`, disk);
  if (system !== undefined) addDisk("system", { path: system, readonly: true, cache: "auto" });
  if (config.rng !== undefined) {
    const { provider } = config.rng;
    add("rng", deviceKinds.rng, 1, provider ?? new WorkerBackend(host.starter, { kind: "rng" }));
  }
  if (config.console.provider !== undefined) {
    add("console", deviceKinds.console, 2, config.console.provider);
  } else if (hostConsole !== undefined) {
    const worker = {
      kind: "console",
      input: hostConsole.borrow(),
      output: hostConsole.borrow(),
    } as const;
    add("console", deviceKinds.console, 2, new WorkerBackend(host.starter, worker));
  }
  if (config.wl !== undefined) {
    const { region, vfds, doorbells = 0, socket } = config.wl;
    const bells = doorbells > 0 && socket === undefined ? new DoorbellHost(doorbells) : undefined;
    add("wl", deviceKinds.wl, 2, wlBackend(config.wl, bells, context), {
      sharedMemory: { sizes: [region], mappings: vfds },
      doorbells: bells,
    });
  }
  const held = owned.move();
  return { parts, images, [Symbol.dispose]: () => held.dispose() };
}

function providerBackend(
  device: string,
  provider: string,
  user: string,
  { host, log, runtime }: OpenContext,
): ProviderBackend {
  return new ProviderBackend({
    ...{ provider: providerName(provider), user, device, runtime, reactor: host.reactor },
    log: log.for({ component: device }),
  });
}

function wlBackend(
  wl: WlConfig,
  doorbells: DoorbellHost | undefined,
  { host, log, provisions }: OpenContext,
): Backend {
  const { region, memory, vfds, contexts, socket } = wl;
  if (socket !== undefined) return new ForeignBackend(socket);
  const named = new HostSockets(wl.sockets);
  const sockets = {
    names: [...named.names, ...provisions.names],
    open: (name: string) => provisions.open(name) ?? named.open(name),
  };
  const worker = {
    kind: "wl",
    region,
    memory,
    vfds,
    contexts,
    doorbells: doorbells?.slots ?? 0,
  } as const;
  const services = { sockets, doorbells, log: log.for({ component: "wl" }) };
  return new WorkerBackend(host.starter, worker, services);
}

/** Names of the VMs in which backends of this one run, by device. */
export function providersOf({ disk, rng, console }: VmConfig): Record<string, string> {
  const all: [string, string | undefined][] = [
    ...disk.map(({ provider }, i): [string, string | undefined] => [`disk${i}`, provider]),
    ["rng", rng?.provider],
    ["console", console.provider],
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
