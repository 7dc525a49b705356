import { type Fd, OsError, type Owned, socketPair } from "../os/mod.ts";
import { DisconnectedError, RequestError, SendError } from "../msg/mod.ts";
import type { Starter } from "../sandbox/mod.ts";
import { type Dialer, directly } from "./dialer.ts";
import type { DirectImage } from "./image_lock.ts";
import { MachineError } from "./outcome.ts";
import type { LimitInfo, NetInfo } from "./vm_control.ts";
import {
  type NetEnd,
  startWorker,
  type Worker,
  type WorkerDevice,
  type WorkerServices,
} from "./worker.ts";

/** Where the backend of a device comes from. */
export interface Backend {
  readonly kind: "worker" | "foreign" | "vm";
  /** Of a process of ours that runs. */
  readonly pid: number | undefined;
  /** What the process may do, for a person. */
  readonly permissions: string;
  /** Why a process of ours could not be set up, once that is known. */
  readonly failure: string | undefined;
  /** Who is waited for, and why, while there is no backend. */
  readonly away?: string;
  /** Of a network device: its way out. */
  readonly net?: NetInfo;
  /** Of a device whose rates are limited. */
  readonly limit?: LimitInfo;
  /** A new vhost-user connection; what served the last one is gone by then. Throws MachineError. */
  connect(): Promise<Owned<Fd>>;
  /** Ends a backend that does not obey, where that is in our power, and a {@linkcode connect} that waits. */
  kill(): void;
  /** Resolves when a backend whose connection was closed has ended: it touches the guest's memory no more. */
  finish(): Promise<void>;
  /** The machine ends: who is not ours to end is not waited for any more. */
  abandon?(): void;
}

/** How long a worker may take to end after its frontend hung up. */
const PATIENCE_MS = 3000;

/** A worker process of ours. Its descriptors stay ours, for the next one. */
export class WorkerBackend implements Backend {
  readonly kind = "worker";
  readonly permissions: string;
  failure: string | undefined;
  readonly #starter: Starter;
  readonly #device: WorkerDevice;
  readonly #services: WorkerServices;
  /** Of workers that have ended, and of the one that runs. */
  readonly #throttled = { times: 0, milliseconds: 0 };
  #throttledNow = { times: 0, milliseconds: 0 };
  #worker: Worker | undefined;
  #starting: Promise<void> | undefined;
  readonly #image: DirectImage | undefined;
  #waiting = new AbortController();

  /** @param image where each worker must have its disk anew */
  constructor(
    starter: Starter,
    device: WorkerDevice,
    services: WorkerServices = {},
    image?: DirectImage,
  ) {
    this.#starter = starter;
    this.#device = device;
    this.#services = { ...services, onThrottled: (throttled) => this.#throttledNow = throttled };
    this.#image = image;
    this.permissions = ["none", ...holdings(device, services)].join("; ");
  }

  get pid(): number | undefined {
    return this.#worker?.child.pid;
  }

  get away(): string | undefined {
    return this.#image?.isWaiting
      ? "its disk has requests of a former worker to finish"
      : undefined;
  }

  get limit(): LimitInfo | undefined {
    const limit = "limit" in this.#device ? this.#device.limit : undefined;
    if (limit === undefined) return undefined;
    const { operations, bytes } = limit;
    const [before, now] = [this.#throttled, this.#throttledNow];
    return {
      ...(operations === undefined ? {} : { operations }),
      ...(bytes === undefined ? {} : { bytes }),
      throttled: before.times + now.times,
      throttledSeconds: (before.milliseconds + now.milliseconds) / 1000,
    };
  }

  /** @param device what the worker is handed, when that is not the same each time */
  async connect(device: WorkerDevice = this.#device): Promise<Owned<Fd>> {
    await this.finish();
    this.#throttled.times += this.#throttledNow.times;
    this.#throttled.milliseconds += this.#throttledNow.milliseconds;
    this.#throttledNow = { times: 0, milliseconds: 0 };
    this.#waiting = new AbortController();
    using disk = await this.#image?.open(this.#waiting.signal);
    const given = disk === undefined ? device : { ...device, disk: disk.borrow() };
    const [ours, theirs] = socketPair();
    using _given = theirs;
    const frontend = { how: "connected", socket: theirs.borrow() } as const;
    this.failure = undefined;
    const starting = startWorker(this.#starter, given, frontend, this.#services);
    const started = starting.then((worker) => {
      this.#worker = worker;
      worker.ready.catch((error) => {
        if (error instanceof RequestError) this.failure = error.message;
      });
    });
    this.#starting = started.catch(() => {});
    try {
      await started;
    } catch (error) {
      ours[Symbol.dispose]();
      throw error;
    }
    return ours;
  }

  /** Gives the worker of a network device another end; whoever follows a worker that has ended has one of its own. */
  async replaceEnd(end: NetEnd): Promise<void> {
    try {
      await this.#worker?.replaceEnd(end);
    } catch (error) {
      const isOver = error instanceof RequestError || error instanceof DisconnectedError ||
        error instanceof SendError;
      if (!isOver) throw error;
    }
  }

  kill(): void {
    this.#waiting.abort(new MachineError("internal", "The wait for the disk was ended."));
    this.#worker?.child.kill();
  }

  async finish(): Promise<void> {
    await this.#starting;
    const worker = this.#worker;
    if (worker === undefined) return;
    const timer = setTimeout(() => worker.child.kill(), PATIENCE_MS);
    await worker.child.exited;
    // What it said last may still be on its way.
    await worker.ready.catch(() => {});
    clearTimeout(timer);
    // Another call may have waited, too, and started the next one.
    if (this.#worker === worker) this.#worker = undefined;
  }
}

/** What a worker is handed beside its connection and the guest's memory. */
function holdings(device: WorkerDevice, { sockets }: WorkerServices): string[] {
  switch (device.kind) {
    case "blk":
      return [`holds its disk (${device.readonly ? "read-only" : "read-write"})`];
    case "rng":
      return [];
    case "net":
      return [`holds ${device.end.kind === "tap" ? "its tap" : "a stream to passt"}`];
    case "console":
      return [
        `holds its console (${device.input === undefined ? "output" : "input and output"})`,
      ];
    case "vsock":
      return ["holds the socket that listens for its guest", "may ask for connections to ports"];
    case "wl": {
      const names = sockets?.names ?? [];
      return names.length === 0 ? [] : [`may ask for connections to ${names.join(", ")}`];
    }
  }
}

/** A backend that somebody else runs and that listens at a path. */
export class ForeignBackend implements Backend {
  readonly kind = "foreign";
  readonly pid = undefined;
  readonly failure = undefined;
  readonly permissions = "those of who started it";
  readonly #path: string;
  readonly #dialer: Dialer;

  constructor(path: string, dialer: Dialer = directly) {
    this.#path = path;
    this.#dialer = dialer;
    dialer.admit(path);
  }

  connect(): Promise<Owned<Fd>> {
    try {
      return Promise.resolve(this.#dialer.connect(this.#path));
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      const reason = error.code === "ENOENT"
        ? "there is no such socket"
        : error.code === "ECONNREFUSED"
        ? "nobody listens there"
        : error.message;
      const message = `Cannot connect to the backend at ${this.#path}: ${reason}.`;
      return Promise.reject(new MachineError("usage", message));
    }
  }

  kill(): void {}

  finish(): Promise<void> {
    return Promise.resolve();
  }
}
