import type { VmConfig } from "../config/mod.ts";
import { type Fd, type Owned, socketPair } from "../os/mod.ts";
import { SpareThreads } from "../vcpu/mod.ts";
import type { BootPlan } from "./boot_plan.ts";
import { nowhere, openConsoleOutput } from "./console_output.ts";
import { connectDevice, DeviceSupervisor } from "./device_supervisor.ts";
import { Host } from "./host.ts";
import type { Log } from "./log.ts";
import { Machine } from "./machine.ts";
import type { MachineEnd } from "./describe_outcome.ts";
import type { RunOutcome } from "./outcome.ts";
import { PanicWatch } from "./panic_watch.ts";
import { RuntimeDir } from "./runtime_dir.ts";
import { SerialConsole } from "./serial_console.ts";
import { SocketConsole } from "./socket_console.ts";
import { Terminal } from "./terminal.ts";
import { openDevices } from "./vm_devices.ts";

/** How long a guest has to power off after SIGTERM, in milliseconds. */
const GRACE_MS = 30_000;

/** What goes with a run, beside its configuration. */
export interface RunOptions {
  readonly log: Log;
}

/**
 * Runs a VM until its guest powers off or fails, or its user ends it; a guest that resets is started again in this
 * process.
 *
 * @throws {MachineError} @throws {KernelError} @throws {HostError} when it cannot be started
 */
export async function runVm(
  config: VmConfig,
  plan: BootPlan,
  { log }: RunOptions,
): Promise<RunOutcome> {
  using spare = new SpareThreads(config.cpus);
  using host = Host.open();
  using runtime = RuntimeDir.claim(config.name);
  using output = openConsoleOutput(
    config.console.to,
    (reason) => log.warn(`console output is lost from here on: ${reason}`),
  );
  using consoleSocket = config.console.device === "virtio" ? new ConsoleSocket() : undefined;
  using devices = openDevices(config, host, consoleSocket?.guest);
  runtime.record(devices.images);

  let cycle: { machine: Machine; console: Console } | undefined;
  let ending = false;
  let stopping: ReturnType<typeof setTimeout> | undefined;
  const quit = () => {
    ending = true;
    cycle?.machine.quit();
  };
  const pressPowerButton = () => cycle?.machine.platform.power.pressPowerButton();
  using _ending = onSignals(["SIGINT", "SIGHUP"], quit);
  using _stopping = onSignals(["SIGTERM"], () => {
    // A second one, or a guest that does not listen, ends it at once.
    if (stopping !== undefined) return quit();
    pressPowerButton();
    stopping = setTimeout(quit, GRACE_MS);
  });
  using _timer = { [Symbol.dispose]: () => clearTimeout(stopping) };
  using _terminal = config.console.to === "stdio"
    ? new Terminal({
      input: async (bytes) => await cycle?.console.input(bytes),
      quit,
      pressPowerButton,
    })
    : undefined;
  while (!ending) {
    const panic = new PanicWatch();
    // Workers start while the machine is built.
    const connecting = Promise.all(
      devices.parts.map((parts) => connectDevice(parts, host.reactor)),
    );
    connecting.catch(() => {});
    using machine = Machine.assemble(host, config, plan, devices.parts, spare.take());
    const { memory, platform } = machine;
    const around = { memory, windowBase: host.window.base, reactor: host.reactor, log };
    const supervisors = await connecting.then((connected) =>
      connected.map((device, i) => new DeviceSupervisor(device, platform.virtio[i], around))
    ).catch(async (error) => {
      // The threads of the vCPUs may only just be starting; what they look at is taken away next.
      machine.quit();
      await machine.run().catch(() => {});
      throw error;
    });
    using serial = new SerialConsole(
      platform.serial,
      host.reactor,
      consoleSocket === undefined ? output : nowhere,
      (bytes) => panic.see(bytes),
    );
    using virtio = consoleSocket && new SocketConsole(consoleSocket.host, host.reactor, output);
    cycle = { machine, console: virtio ?? serial };
    // The user may have had enough while the backends started.
    if (ending) machine.quit();
    log.debug("enters the guest");
    const end = await machine.run();
    // What a person does from here on is not for this machine, which is taken apart.
    cycle = undefined;
    log.debug("left the guest", { end: end.kind, exits: JSON.stringify(machine.exits()) });
    await Promise.all(supervisors.map((supervisor) => supervisor.close()));
    if (end.kind !== "quit") {
      await serial.flush();
      await virtio?.flush();
    }
    const outcome = outcomeOf(end, panic);
    if (outcome !== undefined) return outcome;
    log.info("the guest resets");
  }
  return { kind: "off" };
}

/** A console as a person's typing reaches it. */
interface Console {
  input(bytes: Uint8Array): Promise<void>;
}

/** The two ends of a virtio console's byte stream; they outlive the guest's reboots. */
class ConsoleSocket implements Disposable {
  readonly host: Owned<Fd>;
  readonly guest: Owned<Fd>;
  constructor() {
    [this.host, this.guest] = socketPair();
  }
  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
    this.guest[Symbol.dispose]();
  }
}

/** What an ended power cycle means; undefined when the VM starts again. */
function outcomeOf(end: MachineEnd, panic: PanicWatch): RunOutcome | undefined {
  const panicked = (): RunOutcome => ({
    kind: "failed",
    reason: `the guest's kernel panicked${panic.reason === undefined ? "" : `: ${panic.reason}`}`,
  });
  switch (end.kind) {
    case "quit":
    case "power-off":
      return { kind: "off" };
    case "panic":
      return panicked();
    case "reset":
      return panic.reason === undefined ? undefined : panicked();
    case "crash":
      return { kind: "failed", reason: end.reason };
  }
}

function onSignals(signals: readonly Deno.Signal[], handler: () => void): Disposable {
  for (const signal of signals) Deno.addSignalListener(signal, handler);
  return {
    [Symbol.dispose]() {
      for (const signal of signals) Deno.removeSignalListener(signal, handler);
    },
  };
}
