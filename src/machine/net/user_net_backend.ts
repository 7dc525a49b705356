import type { NetConfig } from "../../config/mod.ts";
import { type Fd, type Owned, socketPair } from "../../os/mod.ts";
import type { Starter } from "../../sandbox/mod.ts";
import { type Backend, WorkerBackend } from "../backend.ts";
import type { OnDeviceChange } from "../device_supervisor.ts";
import type { Log } from "../log.ts";
import { ratesOf } from "../rates_of.ts";
import type { LimitInfo, NetInfo } from "../vm_control.ts";
import type { WorkerDevice } from "../worker.ts";
import { PASST_MTU, type PasstConfig } from "./passt_arguments.ts";
import { requireFreePorts } from "./published_ports.ts";
import { UserNetwork } from "./user_network.ts";

/** Whose network device it is, and what it is to be. */
export interface UserNetOptions {
  readonly starter: Starter;
  readonly device: string;
  readonly config: PasstConfig & Pick<NetConfig, "limit">;
  readonly mac: string;
  readonly log: Log;
  readonly onChange: OnDeviceChange;
}

/**
 * A worker that moves packets between a guest and passt. Each outlives the other: a new worker gets a new stream of
 * the same passt, and of a new passt the worker gets a new stream.
 */
export class UserNetBackend implements Backend, Disposable {
  readonly kind = "worker";
  readonly #mac: string;
  readonly #publish: readonly string[];
  readonly #network: UserNetwork;
  readonly #worker: WorkerBackend;
  /** A stream without another end, for a worker that comes while passt is away. */
  readonly #noStream: Owned<Fd>;
  readonly #device: (stream: Fd) => WorkerDevice;

  /** @throws {MachineError} when one of its ports is not free */
  constructor({ starter, device, config, mac, log, onChange }: UserNetOptions) {
    requireFreePorts(device, config.publish);
    const [noStream, other] = socketPair();
    other[Symbol.dispose]();
    const mtu = config.mtu ?? PASST_MTU;
    const limit = ratesOf(config.limit);
    this.#mac = mac;
    this.#publish = config.publish;
    this.#noStream = noStream;
    this.#device = (stream) => ({ kind: "net", mac, mtu, pairs: 1, limit, end: endOf(stream) });
    this.#worker = new WorkerBackend(starter, this.#device(noStream), { log });
    this.#network = new UserNetwork({
      ...{ starter, config, device, log },
      onLost: (detail) => {
        log.warn(detail);
        onChange(device, "device-away", detail);
      },
      onFound: (stream, detail) => {
        log.info(detail);
        onChange(device, "device-back", detail);
        void this.#worker.replaceEnd(endOf(stream));
      },
    });
  }

  get pid(): number | undefined {
    return this.#worker.pid;
  }

  get permissions(): string {
    return this.#worker.permissions;
  }

  get failure(): string | undefined {
    return this.#worker.failure;
  }

  get limit(): LimitInfo | undefined {
    return this.#worker.limit;
  }

  get net(): NetInfo {
    const { pid: passt, stream } = this.#network;
    return {
      out: "user",
      link: stream === undefined ? "down" : "up",
      mac: this.#mac,
      publish: this.#publish,
      ...(passt === undefined ? {} : { passt }),
    };
  }

  async connect(): Promise<Owned<Fd>> {
    // Its stream has to be over.
    await this.#worker.finish();
    const given = await this.#network.open();
    using connection = await this.#worker.connect(this.#device(given ?? this.#noStream));
    const { stream } = this.#network;
    // It was found before there was a worker to give it to.
    if (stream !== undefined && stream !== given) void this.#worker.replaceEnd(endOf(stream));
    return connection.move();
  }

  kill(): void {
    this.#worker.kill();
  }

  finish(): Promise<void> {
    return this.#worker.finish();
  }

  [Symbol.dispose](): void {
    this.#network[Symbol.dispose]();
    this.#noStream[Symbol.dispose]();
  }
}

function endOf(stream: Fd) {
  return { kind: "stream", socket: stream.borrow() } as const;
}
