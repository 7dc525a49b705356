import type { VmConfig } from "../config/mod.ts";
import type { SandboxMode } from "../sandbox/mod.ts";
import type { ConsoleHub } from "./console_hub.ts";
import type { RunOutcome } from "./outcome.ts";

/**
 * Where a VM is in its life.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.connect("app");
 * const state: VmState = await vm.pause();
 * if (state === "paused") await vm.resume();
 * ```
 */
export type VmState = "starting" | "running" | "paused" | "stopping" | "ended";

/** What can happen to a VM. */
export type VmEventKind =
  | "started"
  | "paused"
  | "resumed"
  | "reset"
  | "power-button"
  | "device-away"
  | "device-back"
  | "snapshot"
  | "ended";

/**
 * Something that happened to a VM.
 *
 * @example
 * ```ts
 * const line = (event: VmEvent) => `${event.time} ${event.kind} ${event.detail ?? ""}`;
 * console.log(line({ time: new Date().toISOString(), kind: "paused" }));
 * ```
 */
export interface VmEvent {
  /** ISO 8601. */
  readonly time: string;
  readonly kind: VmEventKind;
  /** The device that it happened to. */
  readonly device?: string;
  /** A sentence. */
  readonly detail?: string;
}

/** One queue of a device. */
export interface QueueInfo {
  readonly index: number;
  readonly size: number;
  readonly enabled: boolean;
  /** Index of the available ring: chains that the driver gave, modulo 65536. */
  readonly available: number;
  /** Index of the used ring: chains that the device gave back, modulo 65536. */
  readonly used: number;
}

/**
 * A network device's way out.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.connect("app");
 * const ways: NetInfo[] = (await vm.devices()).flatMap(({ net }) => net ?? []);
 * ```
 */
export interface NetInfo {
  readonly out: "user" | "tap";
  /** Whether there is something at the other end. */
  readonly link: "up" | "down";
  readonly mac: string;
  /** The host's interface. */
  readonly tap?: string;
  /** Ports of the host that lead to the guest, as they are configured. */
  readonly publish: readonly string[];
  /** Process id of passt. */
  readonly passt?: number;
}

/**
 * What all processes of a VM together may use, and have used.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.connect("app");
 * const group: GroupInfo | undefined = (await vm.info()).limits;
 * ```
 */
export interface GroupInfo {
  /** Processors that they may use. */
  readonly cpu?: number;
  /** Bytes that they may have, with the guest's. */
  readonly memoryLimitBytes?: number;
  /** Bytes that they have now. */
  readonly memoryBytes: number;
  /** Processor time that they have used. */
  readonly cpuSeconds: number;
  /** How often, and how long, they had to wait for their share of the processors. */
  readonly throttled: number;
  readonly throttledSeconds: number;
}

/**
 * Rates that a device may have, and what they have held back since its VM started.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.connect("app");
 * const limits: LimitInfo[] = (await vm.devices()).flatMap(({ limit }) => limit ?? []);
 * ```
 */
export interface LimitInfo {
  /** Requests a second. */
  readonly operations?: number;
  /** Bytes a second. */
  readonly bytes?: number;
  /** How often requests had to wait. */
  readonly throttled: number;
  /** How long there were some that waited. */
  readonly throttledSeconds: number;
}

/**
 * One device as a user sees it.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.connect("app");
 * const away: DeviceInfo[] = (await vm.devices()).filter(({ state }) => state === "away");
 * ```
 */
export interface DeviceInfo {
  /** Such as `disk0`. */
  readonly name: string;
  /** Such as `blk`. */
  readonly kind: string;
  /** A worker process of ours, somebody else's, or in another VM. */
  readonly backend: "worker" | "foreign" | "vm";
  readonly state: "connected" | "away";
  /** Of a device that is away: whom it waits for, and why. */
  readonly away?: string;
  /** Process id of the worker. */
  readonly pid?: number;
  /** What the worker holds: Deno's permissions, descriptors by purpose. */
  readonly permissions: string;
  /** Of a socket device: the guest's context id, and where programs of the host connect to the guest. */
  readonly vsock?: { readonly cid: number; readonly socket: string };
  /** How often its backend was replaced. */
  readonly restarts: number;
  readonly queues: readonly QueueInfo[];
  /** Negotiated feature bits, in hex. */
  readonly features: string;
  /** Of a network device whose backend is a worker. */
  readonly net?: NetInfo;
  /** Of a device whose rates are limited. */
  readonly limit?: LimitInfo;
}

/**
 * A device that a VM provides to another.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.connect("app");
 * const { provides } = await vm.info();
 * const idle: ProvidedInfo[] = provides.filter(({ state }) => state === "waiting");
 * ```
 */
export interface ProvidedInfo {
  /** The VM that uses it. */
  readonly to: string;
  /** As which of its devices. */
  readonly device: string;
  /** Such as `blk`. */
  readonly kind: string;
  /** `waiting` for the other VM or for the guest, `starting` in the guest, `serving`, `failed` and tried again. */
  readonly state: "waiting" | "starting" | "serving" | "failed";
  /** Whom it waits for, or why it failed. */
  readonly detail: string;
}

/**
 * A running VM as a user sees it.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.connect("app");
 * const { name, memoryBytes }: VmInfo = await vm.info();
 * console.log(name, memoryBytes);
 * ```
 */
export interface VmInfo {
  readonly name: string;
  /** Process id of the monitor. */
  readonly pid: number;
  readonly state: VmState;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Path of the kernel's file. */
  readonly kernel: string;
  readonly cmdline: string;
  /** How often the guest has rebooted. */
  readonly resets: number;
  readonly devices: readonly DeviceInfo[];
  /** What it provides to other VMs. */
  readonly provides: readonly ProvidedInfo[];
  readonly runtimeDir: string;
  /** How much of a jail its workers have. */
  readonly sandbox: SandboxMode;
  /** Where it is limited. */
  readonly limits?: GroupInfo;
}

/** What may be done with a running VM. */
export interface VmControl {
  readonly config: VmConfig;
  info(): VmInfo;
  /** Exits of all vCPUs since the start, by the name of KVM's exit reason. */
  exits(): Record<string, number>;
  /** Takes all vCPUs out of the guest. A paused VM stays so. @throws {VmStateError} when it starts or has ended */
  pause(): Promise<void>;
  /** Lets a paused guest go on. @throws {VmStateError} when it starts or has ended */
  resume(): Promise<void>;
  powerButton(): void;
  /** Presses the power button; a guest that has not powered off after so many milliseconds is ended. */
  stop(graceMs: number): Promise<RunOutcome>;
  /** Ends the guest at once. */
  quit(): void;
  /** As the guest's own reset: a new machine in this process. */
  reset(): void;
  /**
   * Ends the backend of a device and brings a new one. Resolves when that is at work, or has not come within so many
   * milliseconds, as {@linkcode info} tells.
   *
   * @throws {VmStateError} while no machine runs
   * @throws {MachineError} when there is no such device
   */
  restartDevice(name: string, patienceMs: number): Promise<void>;
  /** Writes the state of a paused VM into a directory. @throws {VmStateError} when it is not paused */
  snapshot(dir: string): Promise<void>;
  /** What happens from now on, until the VM has ended. */
  events(signal?: AbortSignal): AsyncIterable<VmEvent>;
  /** Settles when the VM has ended and its backends are gone. */
  readonly outcome: Promise<RunOutcome>;
  readonly console: ConsoleHub;
}

/**
 * The VM is in a state in which this cannot be done.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.connect("app");
 * try {
 *   await vm.snapshot("/var/tmp/app");
 * } catch (error) {
 *   if (!(error instanceof VmStateError)) throw error;
 *   console.log(`It is ${error.state}: ${error.message}`);
 * }
 * ```
 */
export class VmStateError extends Error {
  override readonly name = "VmStateError";

  /**
   * @param state in which the VM is
   * @param wanted what cannot be done now, and what would make it possible
   */
  constructor(readonly state: VmState, wanted: string) {
    super(wanted);
  }
}
