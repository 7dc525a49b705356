import {
  connectUnix,
  Fd,
  listenUnix,
  openFile,
  OsError,
  type Owned,
  Reactor,
  VirtioWl,
} from "../os/mod.ts";
import { RequestError } from "../msg/mod.ts";
import { type Child, type SandboxMode, Starter } from "../sandbox/mod.ts";
import { openDisk } from "./disk_image.ts";
import { HostPorts } from "./host_ports.ts";
import { HostSockets } from "./host_sockets.ts";
import type { Log } from "./log.ts";
import { MachineError } from "./outcome.ts";
import { openTap } from "./net/open_tap.ts";
import { removeStaleSocket } from "./stale_socket.ts";
import {
  startWorker,
  type Worker,
  type WorkerDevice,
  type WorkerFrontend,
  type WorkerServices,
} from "./worker.ts";

/** A device that runs by itself, for a frontend that is not ours. */
export type ServedDevice =
  | {
    readonly kind: "blk";
    readonly path: string;
    readonly readonly: boolean;
    readonly cache: "auto" | "none";
    readonly queues: number;
    readonly serial?: string;
    /** Rates for each second, and seconds of them that may be used at once. */
    readonly limit?: {
      readonly operations?: number;
      readonly bytes?: number;
      readonly burst: number;
    };
  }
  | { readonly kind: "rng" }
  | { readonly kind: "console"; readonly to: string }
  | {
    readonly kind: "net";
    /** The name of a tap, or the path of a socket of passt. */
    readonly to: { readonly tap: string } | { readonly stream: string };
    /** Made up when left out. */
    readonly mac?: string;
    readonly mtu?: number;
    /** Pairs of queues. */
    readonly pairs: number;
  }
  | {
    readonly kind: "vsock";
    /** The guest's context id. */
    readonly cid: number;
    /** Programs connect there to the guest, and the guest to `PATH_PORT`. */
    readonly path: string;
  }
  | {
    readonly kind: "wl";
    /** Paths of sockets by the name that the guest asks for; `auto` for the Wayland display. */
    readonly sockets: Readonly<Record<string, string>>;
    /** Bytes, as the other limits of `[wl]`. */
    readonly region: number;
    readonly memory: number;
    readonly vfds: number;
    readonly contexts: number;
  };

/**
 * What to serve, and where its frontend is found: a path to listen at, an inherited socket, or, in a guest, a socket of
 * its host.
 *
 * @example
 * ```ts
 * import { Log } from "spectrum";
 *
 * const options: ServeOptions = {
 *   log: new Log({ format: "text", level: "info" }),
 *   device: { kind: "blk", path: "disk.img", readonly: true, cache: "auto", queues: 1 },
 *   connection: { socket: "/tmp/disk.sock" },
 * };
 * ```
 */
export interface ServeOptions {
  readonly log: Log;
  /** How much of a jail the worker gets; all of it when left out. */
  readonly sandbox?: SandboxMode;
  readonly device: ServedDevice;
  readonly connection: {
    readonly socket?: string;
    readonly fd?: number;
    /** In a guest: the name of a virtio-wl context. */
    readonly context?: string;
  };
}

/**
 * Serves one device from its sandboxed worker until its frontend hangs up (`fd`, `context`), or for ever (`socket`).
 *
 * @throws {MachineError} when it cannot be set up, or the worker ends with an error
 *
 * @example
 * ```ts
 * import { Log } from "spectrum";
 *
 * // A random number generator for one QEMU after the other.
 * async function serveRng(socket: string): Promise<void> {
 *   const log = new Log({ format: "text", level: "info" });
 *   await serveDevice({ log, device: { kind: "rng" }, connection: { socket } });
 * }
 * ```
 */
export async function serveDevice(options: ServeOptions): Promise<void> {
  const { log, sandbox, device, connection } = options;
  using reactor = new Reactor();
  using starter = Starter.spawn(reactor, sandbox);
  using given = new DisposableStack();
  using kept = new DisposableStack();
  const where = openConnection(connection, given);
  const opened = openServed(device, given, kept);
  const worker = await startWorker(starter, opened.device, where, { ...opened.services, log });
  // From here on only the worker holds what it serves.
  given[Symbol.dispose]();
  await setUp(worker, device.kind);
  if (connection.socket !== undefined) log.info(`${device.kind}: listens at ${connection.socket}`);
  await endOf(worker.child, device.kind);
}

function openConnection(
  { socket, fd, context }: ServeOptions["connection"],
  owned: DisposableStack,
): WorkerFrontend {
  if (context !== undefined) {
    const wl = owned.use(
      orRefuse("There is no Virtio Wayland in this guest", () => VirtioWl.open()),
    );
    const connected = owned.use(
      orRefuse(`The host does not connect "${context}"`, () => wl.context(context)),
    );
    return { how: "context", context: connected.borrow(), device: wl.fd.borrow() };
  }
  if (fd !== undefined) return { how: "connected", socket: owned.use(inherited(fd)).borrow() };
  if (socket === undefined) {
    throw new MachineError(
      "usage",
      "Where is the frontend? Give --socket PATH, --fd N or --context NAME.",
    );
  }
  removeStaleSocket(socket);
  try {
    return { how: "listening", socket: owned.use(listenUnix(socket)).borrow() };
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    throw new MachineError("usage", `${error.message}.`);
  }
}

function orRefuse<T>(what: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof OsError || error instanceof RangeError)) throw error;
    throw new MachineError("host", `${what}: ${error.message}.`);
  }
}

function inherited(fd: number): Owned<Fd> {
  try {
    return Fd.inherited(fd);
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    throw new MachineError("usage", `There is no descriptor ${fd} for --fd.`);
  }
}

function openLog(path: string): Owned<Fd> {
  try {
    return openFile(path, { writeOnly: true, create: true, append: true });
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    throw new MachineError("usage", `Cannot open the console's file ${path}: ${error.message}`);
  }
}

function openNetEnd(
  to: { readonly tap: string } | { readonly stream: string },
  pairs: number,
  owned: DisposableStack,
): (WorkerDevice & { kind: "net" })["end"] {
  if ("tap" in to) {
    const queues = openTap(to.tap, pairs).map((queue) => owned.use(queue).borrow());
    return { kind: "tap", queues };
  }
  try {
    return { kind: "stream", socket: owned.use(connectUnix(to.stream)).borrow() };
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    throw new MachineError("usage", `Cannot connect to ${to.stream}: ${error.message}.`);
  }
}

/** Of a single station, locally administered. */
function randomMac(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  bytes[0] = 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** A device with what its worker is handed, and may ask for. */
export interface OpenedDevice {
  readonly device: WorkerDevice;
  readonly services: WorkerServices;
}

/**
 * Opens what a device needs.
 *
 * @param given holds what is of no use any more when the worker has it
 * @param kept holds what has to be there as long as the worker
 * @throws {MachineError} when it cannot be used
 */
export function openServed(
  device: ServedDevice,
  given: DisposableStack,
  kept: DisposableStack,
): OpenedDevice {
  switch (device.kind) {
    case "blk": {
      const { path: _path, ...rest } = device;
      const disk = given.use(openDisk(device).fd).borrow();
      return { device: { ...rest, disk }, services: {} };
    }
    case "rng":
      return { device, services: {} };
    case "console":
      return { device: openConsole(device.to, given), services: {} };
    case "net": {
      const { to, mac = randomMac(), ...rest } = device;
      const end = openNetEnd(to, device.pairs, given);
      return { device: { ...rest, mac, end }, services: {} };
    }
    case "vsock": {
      const { kind, cid, path } = device;
      const ports = kept.use(new HostPorts(path));
      return {
        device: { kind, cid, listener: ports.listener.borrow() },
        services: { connectPort: (port) => ports.connect(port) },
      };
    }
    case "wl": {
      const { sockets, ...rest } = device;
      // A machine that is not ours has no such function.
      return {
        device: { ...rest, doorbells: 0 },
        services: { sockets: new HostSockets(sockets) },
      };
    }
  }
}

function openConsole(to: string, given: DisposableStack): WorkerDevice {
  const kind = "console";
  if (to !== "stdio") return { kind, output: given.use(openLog(to)).borrow() };
  const [output, input] = [given.use(Fd.inherited(1)), given.use(Fd.inherited(0))];
  return { kind, output: output.borrow(), input: input.borrow() };
}

/** Waits until a worker serves; what makes that impossible is mostly what its user gave us. */
async function setUp({ ready, child }: Worker, kind: string): Promise<void> {
  try {
    await ready;
  } catch (error) {
    if (!(error instanceof RequestError)) return await endOf(child, kind);
    await child.exited;
    const mistake = error.code === "unusable" ? "usage" : "internal";
    throw new MachineError(mistake, `Cannot serve the ${kind} device: ${error.message}.`);
  }
}

/** Waits for a worker's end; its own messages are on standard error already. */
async function endOf(child: Child, kind: string): Promise<void> {
  const end = await child.exited;
  if ("status" in end && end.status === 0) return;
  const how = "status" in end ? `status ${end.status}` : `signal ${end.signal}`;
  throw new MachineError("internal", `The ${kind} worker ended with ${how}.`);
}
