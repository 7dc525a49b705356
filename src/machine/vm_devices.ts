import { join } from "node:path";
import type { DiskConfig, VmConfig, WlConfig } from "../config/mod.ts";
import type { Fd } from "../os/mod.ts";
import { ForeignBackend, WorkerBackend } from "./backend.ts";
import { deviceKinds } from "./device_kind.ts";
import type { DeviceHistory, DeviceParts } from "./device_parts.ts";
import { openDisk } from "./disk_image.ts";
import type { Host } from "./host.ts";
import { DoorbellHost } from "./doorbell_host.ts";
import { HostSockets } from "./host_sockets.ts";
import type { Log } from "./log.ts";
import { ProviderBackend } from "./provider_backend.ts";
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
}

/**
 * Opens what a VM's devices need.
 *
 * @throws {MachineError} naming the disk that cannot be used
 */
export function openDevices(
  config: VmConfig,
  { host, log, runtime, hostConsole }: OpenContext,
): VmDevices {
  using owned = new DisposableStack();
  const parts: DeviceParts[] = [];
  const images: ImageId[] = [];
  for (const [i, disk] of config.disk.entries()) {
    const context = { host, log, runtime, owned, images };
    parts.push(diskParts(`disk${i}`, disk, config.cpus, context));
  }
  if (config.rng !== undefined) {
    const backend = new WorkerBackend(host.starter, { kind: "rng" });
    parts.push({
      name: "rng",
      kind: deviceKinds.rng,
      backend,
      maxQueues: 1,
      history: newHistory(),
    });
  }
  if (hostConsole !== undefined) {
    const worker = {
      kind: "console",
      input: hostConsole.borrow(),
      output: hostConsole.borrow(),
    } as const;
    const backend = new WorkerBackend(host.starter, worker);
    const kind = deviceKinds.console;
    parts.push({ name: "console", kind, backend, maxQueues: 2, history: newHistory() });
  }
  if (config.wl !== undefined) parts.push(wlParts(config.wl, host, log));
  const held = owned.move();
  return { parts, images, [Symbol.dispose]: () => held.dispose() };
}

function diskParts(
  name: string,
  { path, socket, provider, readonly, cache, queues: wanted }: DiskConfig,
  cpus: number,
  context: { host: Host; log: Log; runtime: string; owned: DisposableStack; images: ImageId[] },
): DeviceParts {
  const { host, owned, images } = context;
  if (provider !== undefined) {
    const backend = owned.use(
      new ProviderBackend({
        vm: provider.slice("vm:".length),
        path: join(context.runtime, `${name}.sock`),
        reactor: host.reactor,
        log: context.log.for({ component: name }),
      }),
    );
    const maxQueues = wanted ?? FOREIGN_QUEUES;
    return { name, kind: deviceKinds.blk, backend, maxQueues, history: newHistory() };
  }
  if (socket !== undefined) {
    const maxQueues = wanted ?? FOREIGN_QUEUES;
    const backend = new ForeignBackend(socket);
    return { name, kind: deviceKinds.blk, backend, maxQueues, history: newHistory() };
  }
  if (path === undefined) throw new Error(`${name} has neither path nor socket`);
  const { fd, id } = openDisk({ path, readonly, cache });
  owned.use(fd);
  images.push(id);
  const queues = wanted ?? Math.min(cpus, MOST_DEFAULT_QUEUES);
  const worker = { kind: "blk", disk: fd.borrow(), readonly, cache, queues, serial: name } as const;
  const backend = new WorkerBackend(host.starter, worker);
  return { name, kind: deviceKinds.blk, backend, maxQueues: queues, history: newHistory() };
}

function wlParts(wl: WlConfig, host: Host, log: Log): DeviceParts {
  const { region, memory, vfds, contexts, doorbells, socket } = wl;
  const worker = { kind: "wl", region, memory, vfds, contexts, doorbells } as const;
  const bells = doorbells > 0 && socket === undefined ? new DoorbellHost(doorbells) : undefined;
  const services = {
    sockets: new HostSockets(wl.sockets),
    doorbells: bells,
    log: log.for({ component: "wl" }),
  };
  return {
    name: "wl",
    kind: deviceKinds.wl,
    backend: socket === undefined
      ? new WorkerBackend(host.starter, worker, services)
      : new ForeignBackend(socket),
    maxQueues: 2,
    sharedMemory: { sizes: [region], mappings: vfds },
    doorbells: bells,
    history: newHistory(),
  };
}

function newHistory(): DeviceHistory {
  return { restarts: 0 };
}
