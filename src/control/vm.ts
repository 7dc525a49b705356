import { join, resolve } from "node:path";
import { isKernelName, parseConfig, type VmConfig, type VmInput } from "../config/mod.ts";
import {
  type DeviceInfo,
  isRunning,
  readSnapshotInfo,
  type RunOutcome,
  runtimeBase,
  type VmEvent,
  type VmInfo,
  type VmState,
} from "../machine/mod.ts";
import { ControlClient } from "./client.ts";
import { CONSOLE_SOCKET } from "./control_server.ts";
import { MonitorProcess } from "./monitor_process.ts";
import {
  type AgentWait,
  connectAgent,
  type CopyDestination,
  copyFromGuest,
  type CopySource,
  copyToGuest,
  type GuestCommandOptions,
  type GuestCopyOptions,
  type GuestExecOptions,
  type GuestOutput,
  GuestProcess,
  runCommand,
  VSOCK_SOCKET,
} from "../agent/mod.ts";
import { findRunningVm, listVms, type VmEntry } from "./vm_list.ts";

/**
 * What a VM that a program starts is made of. Paths are relative to the working directory.
 *
 * @example
 * ```ts
 * const options: VmOptions = {
 *   kernel: "debian",
 *   memory: "256M",
 *   disks: ["root.img", { path: "data.img", readonly: true }],
 *   root: "disk0",
 * };
 * ```
 */
export interface VmOptions {
  /** By default one that nobody else has. */
  readonly name?: string;
  /** `debian`, `small`, `small:PROFILE`, or the path of a bzImage or PVH ELF image; needed without an image. */
  readonly kernel?: string;
  /** The image of `spectrum image build` that is the root file system; with it there are `rng` and `vsock`. */
  readonly image?: string;
  /** The most that the VM may write on top of its image, such as `10G`, or bytes. */
  readonly overlay?: string | number;
  /** What it writes there is thrown away at its end. */
  readonly disposable?: boolean;
  readonly initrd?: string;
  /** Words for the kernel's command line. */
  readonly cmdline?: string;
  /** The disk that is the root file system: `disk0` is the first. */
  readonly root?: string;
  /** Such as `512M`, or bytes. */
  readonly memory?: string | number;
  readonly cpus?: number;
  /** Images or block devices. */
  readonly disks?: readonly (string | NonNullable<VmInput["disk"]>[number])[];
  /** Gives the guest a source of random numbers. */
  readonly rng?: boolean;
  /** Gives the guest sockets to its host, by which its agent is reached: `exec`, `copyTo` and the like need them. */
  readonly vsock?: boolean;
  /** `serial` is the boot console (ttyS0), `virtio` a faster one (hvc0). */
  readonly consoleDevice?: "serial" | "virtio";
}

/**
 * A console as streams of bytes.
 *
 * @example
 * ```ts
 * await using vm = await Vm.connect("app");
 * await using console = await vm.console();
 * await console.send("ls\n");
 * ```
 */
export class VmConsole implements AsyncDisposable {
  readonly #connection: Deno.UnixConn;

  /** Made by {@linkcode Vm.console}. */
  constructor(connection: Deno.UnixConn) {
    this.#connection = connection;
  }

  /** What the guest prints, the last 64 KiB of the past first. */
  get readable(): ReadableStream<Uint8Array> {
    return this.#connection.readable;
  }

  /** What is typed. Of several who are connected the first may write; what others write is dropped. */
  get writable(): WritableStream<Uint8Array> {
    return this.#connection.writable;
  }

  /** Types a text. */
  async send(text: string): Promise<void> {
    await this.write(new TextEncoder().encode(text));
  }

  /** Types bytes; resolves when the last is on its way. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }

  /** Detaches; the guest goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#connection.readable.cancel();
    } catch {
      // Somebody reads it, or it has ended; closing ends that.
    }
    try {
      this.#connection.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

/**
 * A virtual machine that runs in its own monitor process.
 *
 * @example Talk to one that runs
 * ```ts
 * await using vm = await Vm.connect("app");
 * await vm.pause();
 * console.log((await vm.info()).state);
 * await vm.resume();
 * ```
 * @example Start one; it ends with the block
 * ```ts
 * await using vm = await Vm.start({ kernel: "debian", memory: "256M" });
 * await vm.powerButton();
 * console.log(await vm.outcome());
 * ```
 */
export class Vm implements AsyncDisposable {
  readonly #client: ControlClient;
  readonly #monitor: MonitorProcess | undefined;
  #outcome: Promise<RunOutcome> | undefined;

  private constructor(
    readonly name: string,
    readonly runtimeDir: string,
    monitor?: MonitorProcess,
  ) {
    this.#client = new ControlClient(name, runtimeDir);
    this.#monitor = monitor;
    this.#outcome = monitor?.outcome();
  }

  /**
   * Starts a VM whose life is that of the result; resolves when the guest's kernel runs. Its monitor ends with this
   * process, however that ends.
   *
   * @throws {ConfigError} when the options cannot be used
   * @throws {StartError} when it cannot be started
   */
  static async start(options: VmOptions, { signal }: { signal?: AbortSignal } = {}): Promise<Vm> {
    const name = options.name ?? `vm-${crypto.randomUUID().slice(0, 12)}`;
    const config = await parseConfig("", "Vm.start", inputOf({ ...options, name }));
    return await Vm.#launch(config, undefined, signal);
  }

  /**
   * Starts a VM that goes on where a snapshot was taken. Otherwise as {@linkcode Vm.start}.
   *
   * @param changes what is to be otherwise than when it was saved, such as the name
   */
  static async restore(
    dir: string,
    changes: Partial<VmOptions> = {},
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<Vm> {
    const path = resolve(dir);
    const { config } = await readSnapshotInfo(path, inputOf(changes));
    return await Vm.#launch(config, path, signal);
  }

  static async #launch(config: VmConfig, restore?: string, signal?: AbortSignal): Promise<Vm> {
    const monitor = await MonitorProcess.start({
      ...{ config, restore, logFile: newLogFile(), bound: true },
      log: { format: "text", level: "info" },
    }, { signal });
    return new Vm(config.name, join(runtimeBase(), config.name), monitor);
  }

  /**
   * Connects to a VM that runs.
   *
   * @throws {NoSuchVmError} when there is none of that name
   */
  // deno-lint-ignore require-await
  static async connect(name: string): Promise<Vm> {
    return new Vm(name, findRunningVm(name).dir);
  }

  /** The VMs of this user: those that run, and what detached ones that have ended left. */
  // deno-lint-ignore require-await
  static async list(): Promise<VmEntry[]> {
    return listVms();
  }

  /** What it is and how it does. */
  async info(): Promise<VmInfo> {
    return await this.#client.get("/vm");
  }

  /** Its configuration, with every default filled in. */
  async config(): Promise<VmConfig> {
    return await this.#client.get("/vm/config");
  }

  /** Its virtio devices. */
  async devices(): Promise<DeviceInfo[]> {
    return await this.#client.get("/devices");
  }

  /** Its counters, in Prometheus' text format. */
  async metrics(): Promise<string> {
    return await this.#client.text("/metrics");
  }

  /** Takes all vCPUs out of the guest. @throws {VmStateError} */
  async pause(): Promise<VmState> {
    return await this.#act("pause");
  }

  /** Lets a paused guest go on. @throws {VmStateError} */
  async resume(): Promise<VmState> {
    return await this.#act("resume");
  }

  /** Presses the power button: the guest powers off if it wants to. */
  async powerButton(): Promise<VmState> {
    return await this.#act("power-button");
  }

  /** Resets the machine, as its guest can. */
  async reset(): Promise<VmState> {
    return await this.#act("reset");
  }

  /**
   * Ends the backend of a device and brings a new one, which repeats the requests that the old one had in hand. A backend
   * that is not ours to start loses its connection, and is waited for.
   *
   * @param options.waitMs how long to wait for it, in milliseconds; by default 30 seconds
   * @returns the device as it is then: connected, or still away
   * @throws {ControlError} when there is no such device
   * @throws {VmStateError} when the VM only starts, or has ended
   */
  async restartDevice(device: string, options: { waitMs?: number } = {}): Promise<DeviceInfo> {
    const path = `/devices/${encodeURIComponent(device)}/restart`;
    return await this.#client.post(path, options);
  }

  /** Writes the state of a paused VM into a directory. @throws {VmStateError} when it is not paused */
  async snapshot(dir: string): Promise<void> {
    await this.#client.post("/vm/snapshot", { dir: resolve(dir) });
  }

  /**
   * Presses the power button, and ends a guest that has not powered off in time.
   *
   * @param options.graceMs milliseconds, by default 30 seconds
   * @param options.force end it at once
   * @returns how it ended
   */
  async stop(options: { graceMs?: number; force?: boolean } = {}): Promise<RunOutcome> {
    return await this.#client.post("/vm/stop", options);
  }

  /** Attaches to its console. */
  async console(): Promise<VmConsole> {
    const path = join(this.runtimeDir, CONSOLE_SOCKET);
    return new VmConsole(await Deno.connect({ transport: "unix", path }));
  }

  /**
   * Runs a command in the guest to its end. The VM needs `[vsock]` and an agent in its guest, which is waited for.
   *
   * @returns how it ended, and what it printed
   * @throws {AgentError} when it cannot be run, or the VM ends first
   */
  async exec(
    command: readonly string[],
    options: GuestExecOptions & AgentWait = {},
  ): Promise<GuestOutput> {
    return await runCommand(await this.spawn(command, options), options);
  }

  /**
   * Starts a command in the guest and gives its streams. Otherwise as {@linkcode exec}.
   *
   * @throws {AgentError} when it cannot be run
   */
  async spawn(
    command: readonly string[],
    options: GuestCommandOptions & AgentWait = {},
  ): Promise<GuestProcess> {
    return await GuestProcess.start(await this.#agent(options), command, options);
  }

  /**
   * Copies a file, or a folder with all that is in it, into the guest.
   *
   * @param source a path here, or the bytes of one file
   * @param destination a path in the guest; a folder that is there takes the copy in
   * @throws {AgentError} when the guest does not take it
   */
  async copyTo(
    source: CopySource,
    destination: string,
    options: GuestCopyOptions & AgentWait = {},
  ): Promise<void> {
    await copyToGuest(await this.#agent(options), source, destination, options);
  }

  /**
   * Copies a file, or a folder with all that is in it, out of the guest, which can write nowhere but there.
   *
   * @param destination a path here, where a folder takes the copy in, or a stream for the bytes of one file
   * @throws {AgentError} when the guest does not give it
   */
  async copyFrom(
    source: string,
    destination: CopyDestination,
    options: GuestCopyOptions & AgentWait = {},
  ): Promise<void> {
    await copyFromGuest(await this.#agent(options), source, destination, options);
  }

  async #agent({ waitMs, onWait }: AgentWait) {
    const socket = join(this.runtimeDir, VSOCK_SOCKET);
    return await connectAgent(socket, { waitMs, onWait, alive: () => isRunning(this.runtimeDir) });
  }

  /** What happens from now on, until it has ended or the signal comes. */
  events(signal?: AbortSignal): AsyncIterable<VmEvent> {
    return this.#client.lines("/events", signal);
  }

  /** How it ends, when it has. */
  async outcome(): Promise<RunOutcome> {
    return await (this.#outcome ??= this.#watch());
  }

  /** Of a VM that others started: its last event, which says why if it failed. */
  async #watch(): Promise<RunOutcome> {
    for await (const { kind, detail } of this.events()) {
      if (kind === "ended" && detail !== undefined) return { kind: "failed", reason: detail };
    }
    return { kind: "off" };
  }

  async #act(action: string): Promise<VmState> {
    return (await this.#client.post<{ state: VmState }>(`/vm/${action}`)).state;
  }

  /** Ends a VM that was started by this object; one that was connected to goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    await this.#monitor?.close();
    await this.#outcome?.catch(() => {});
  }
}

/** Where a monitor's log begins, before it has a runtime directory. */
export function newLogFile(): string {
  const base = runtimeBase();
  Deno.mkdirSync(base, { recursive: true, mode: 0o700 });
  const path = join(base, `.${crypto.randomUUID()}.log`);
  Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }).close();
  return path;
}

function inputOf(options: Partial<VmOptions>): Partial<VmInput> {
  const { kernel, initrd, disks, rng, vsock, consoleDevice, memory, ...same } = options;
  const absolute = (disk: string | NonNullable<VmInput["disk"]>[number]) => {
    if (typeof disk === "string") return { path: resolve(disk) };
    const { path, socket } = disk;
    return {
      ...disk,
      ...(path === undefined ? {} : { path: resolve(path) }),
      ...(socket === undefined ? {} : { socket: resolve(socket) }),
    };
  };
  return {
    ...(kernel === undefined ? {} : { kernel: isKernelName(kernel) ? kernel : resolve(kernel) }),
    ...(initrd === undefined ? {} : { initrd: resolve(initrd) }),
    ...(disks === undefined ? {} : { disk: disks.map(absolute) }),
    ...Object.fromEntries(Object.entries(same).filter(([, value]) => value !== undefined)),
    ...(memory === undefined ? {} : { memory }),
    ...(rng ? { rng: {} } : {}),
    ...(vsock ? { vsock: {} } : {}),
    ...(consoleDevice === undefined ? {} : { console: { device: consoleDevice } }),
  };
}
