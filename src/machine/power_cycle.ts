import { assembleMachine, type MachineOptions } from "./assemble_machine.ts";
import { BackendSearch } from "./backend_search.ts";
import type { ConsoleSocket } from "./console_socket.ts";
import type { MachineEnd } from "./describe_outcome.ts";
import { connectDevice, type ConnectedDevice } from "./connect_device.ts";
import { DeviceSupervisor, type OnDeviceChange } from "./device_supervisor.ts";
import type { DeviceParts } from "./device_parts.ts";
import type { Log } from "./log.ts";
import type { Machine } from "./machine.ts";
import { MachineError } from "./outcome.ts";
import { PanicWatch } from "./panic_watch.ts";
import { SerialConsole } from "./serial_console.ts";
import { SharedMappings } from "./shared_mappings.ts";
import { SocketConsole } from "./socket_console.ts";
import type { DeviceInfo } from "./vm_control.ts";

/** What a machine is built from, time and again. */
export interface CycleParts extends MachineOptions {
  /** The byte stream of a virtio console, if the VM has one. */
  readonly consoleSocket?: ConsoleSocket;
  /** Where the console's output goes. */
  readonly print: (bytes: Uint8Array) => Promise<void>;
  readonly log: Log;
  readonly onDeviceChange: OnDeviceChange;
  /** Backends that are away are waited for: the VM ran before, and its guest reboots. */
  readonly patient: boolean;
  /** Ends the wait for backends. */
  readonly signal: AbortSignal;
}

/** One machine of a VM, from its first instruction to its power-off or reset, with its backends and its console. */
export class PowerCycle implements AsyncDisposable {
  readonly machine: Machine;
  /** What the guest's kernel said of its end. */
  readonly panic = new PanicWatch();
  /** Gives the guest what is typed at its console; resolves when it took the bytes, or will take no more. */
  readonly input: (bytes: Uint8Array) => Promise<void>;
  readonly #mappings = new SharedMappings();
  readonly #supervisors: readonly DeviceSupervisor[];
  readonly #serial: SerialConsole;
  readonly #virtio: SocketConsole | undefined;
  #end: MachineEnd | undefined;

  private constructor(machine: Machine, connected: readonly ConnectedDevice[], parts: CycleParts) {
    const { host, log, print, consoleSocket, onDeviceChange, source } = parts;
    const { memory, platform } = machine;
    this.machine = machine;
    this.#supervisors = connected.map((device, i) =>
      new DeviceSupervisor(device, platform.virtio[i], {
        memory,
        window: host.window,
        mappings: this.#mappings,
        reactor: host.reactor,
        log,
        doorbells: platform.doorbells,
        restored: "saved" in source,
        onChange: onDeviceChange,
      })
    );
    const output = { write: print };
    const shown = consoleSocket === undefined ? output : { write: () => Promise.resolve() };
    this.#serial = new SerialConsole(
      platform.serial,
      host.reactor,
      shown,
      (bytes) => this.panic.see(bytes),
    );
    this.#virtio = consoleSocket && new SocketConsole(consoleSocket.host, host.reactor, output);
    const console = this.#virtio ?? this.#serial;
    this.input = (bytes) => console.input(bytes);
  }

  /**
   * Builds the machine while its backends start.
   *
   * @throws {MachineError} @throws {KernelError} @throws {HostError} when it cannot be built, with nothing left behind
   */
  static async start(parts: CycleParts): Promise<PowerCycle> {
    const connecting = new Connecting(parts);
    try {
      using undo = new DisposableStack();
      const machine = undo.use(assembleMachine(parts));
      const connected = await connecting.done.catch(async (error) => {
        // The threads of the vCPUs may only just be starting; what they look at is taken away next.
        machine.quit();
        await machine.run().catch(() => {});
        throw error;
      });
      const cycle = await PowerCycle.#join(machine, connected, parts);
      undo.move();
      return cycle;
    } catch (error) {
      await connecting.abandon();
      throw error;
    }
  }

  static async #join(
    machine: Machine,
    connected: readonly ConnectedDevice[],
    parts: CycleParts,
  ): Promise<PowerCycle> {
    try {
      const cycle = new PowerCycle(machine, connected, parts);
      await cycle.goOn();
      return cycle;
    } catch (error) {
      machine.quit();
      await machine.run().catch(() => {});
      throw error;
    }
  }

  /**
   * Makes all backends leave the machine's memory alone, until {@linkcode goOn}. It must be paused.
   *
   * @throws {MachineError} when one cannot; then all of them go on
   */
  async rest(): Promise<void> {
    try {
      await Promise.all(this.#supervisors.map((supervisor) => supervisor.rest()));
    } catch (error) {
      await this.goOn();
      throw error;
    }
  }

  /** Lets backends at rest go on. */
  async goOn(): Promise<void> {
    await Promise.all(this.#supervisors.map((supervisor) => supervisor.goOn()));
  }

  /**
   * See {@linkcode DeviceSupervisor.restart}.
   *
   * @throws {MachineError} when there is no such device
   */
  async restartDevice(name: string, patience: number): Promise<void> {
    const supervisor = this.#supervisors.find((supervisor) => supervisor.name === name);
    if (supervisor === undefined) throw new MachineError("usage", `There is no device "${name}".`);
    await supervisor.restart(patience);
  }

  /** Runs the machine to its end. */
  async run(): Promise<MachineEnd> {
    return this.#end = await this.machine.run();
  }

  get devices(): DeviceInfo[] {
    return this.#supervisors.map((supervisor) => supervisor.info);
  }

  /** After the end of {@linkcode run}: resolves when all output is written, and the backends have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    using _machine = this.machine;
    using _serial = this.#serial;
    using _virtio = this.#virtio;
    this.#mappings[Symbol.dispose]();
    await Promise.all(this.#supervisors.map((supervisor) => supervisor.close()));
    if (this.#end === undefined || this.#end.kind === "quit") return;
    await this.#serial.flush();
    await this.#virtio?.flush();
  }
}

/** Backends on their way. */
class Connecting {
  /** Rejects with the first failure. */
  readonly done: Promise<ConnectedDevice[]>;
  readonly #all: readonly Promise<ConnectedDevice>[];
  readonly #devices: readonly DeviceParts[];
  readonly #abandoned = new AbortController();

  constructor(parts: CycleParts) {
    const { devices, host, signal, patient } = parts;
    this.#devices = devices;
    const either = AbortSignal.any([signal, this.#abandoned.signal]);
    this.#all = devices.map((device) =>
      // What is wrong in another VM is not for this one to end of.
      patient || device.backend.kind === "vm"
        ? awaitDevice(device, parts, either)
        : connectDevice(device, host.reactor, either)
    );
    this.done = Promise.all(this.#all);
    this.done.catch(() => {});
  }

  /** Lets go of all of them. */
  async abandon(): Promise<void> {
    this.#abandoned.abort();
    for (const { backend } of this.#devices) backend.abandon?.();
    for (const result of await Promise.allSettled(this.#all)) {
      if (result.status === "rejected") continue;
      const { frontend, backend } = result.value;
      frontend[Symbol.dispose]();
      backend.abandon?.();
      await backend.finish();
    }
  }
}

/** Connects a device however long its backend is away, and tells of that. */
async function awaitDevice(
  device: DeviceParts,
  { host: { reactor }, log, onDeviceChange }: CycleParts,
  signal: AbortSignal,
): Promise<ConnectedDevice> {
  const { name } = device;
  const since = performance.now();
  let away = false;
  const onFailure = (message: string) => {
    away = true;
    log.for({ component: name }).warn(message);
    onDeviceChange(name, "device-away", message);
  };
  const found = await new BackendSearch({ device, reactor, onFailure }).find(signal);
  if (found === undefined) throw signal.reason;
  if (away) {
    onDeviceChange(name, "device-back", `after ${Math.round(performance.now() - since)} ms`);
  }
  return found;
}
