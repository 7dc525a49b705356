import type { VmConfig } from "../config/mod.ts";
import type { BootPlan } from "./boot_plan.ts";
import { openConsoleOutput } from "./console_output.ts";
import { connectDevice, DeviceSupervisor } from "./device_supervisor.ts";
import { Host } from "./host.ts";
import type { Log } from "./log.ts";
import { Machine } from "./machine.ts";
import type { MachineEnd } from "./describe_outcome.ts";
import type { RunOutcome } from "./outcome.ts";
import { PanicWatch } from "./panic_watch.ts";
import { SerialConsole } from "./serial_console.ts";
import { Terminal } from "./terminal.ts";
import { openDevices } from "./vm_devices.ts";

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
  using host = Host.open();
  using output = openConsoleOutput(config.console.to);
  let current: { machine: Machine; console: SerialConsole } | undefined;
  let userQuit = false;
  const quit = () => {
    userQuit = true;
    current?.machine.quit();
  };
  using _signals = onSignals(["SIGTERM", "SIGINT", "SIGHUP"], quit);
  using _terminal = config.console.to === "stdio"
    ? new Terminal({ input: async (bytes) => await current?.console.input(bytes), quit })
    : undefined;
  using devices = openDevices(config, host);
  while (!userQuit) {
    const panic = new PanicWatch();
    // Workers start while the machine is built.
    const connecting = Promise.all(
      devices.parts.map((parts) => connectDevice(parts, host.reactor)),
    );
    connecting.catch(() => {});
    using machine = Machine.assemble(host, config, plan, devices.parts);
    const { memory, platform } = machine;
    const around = { memory, windowBase: host.window.base, reactor: host.reactor, log };
    const supervisors = (await connecting).map((device, i) =>
      new DeviceSupervisor(device, platform.virtio[i], around)
    );
    using console = new SerialConsole(
      platform.serial,
      host.reactor,
      output,
      (bytes) => panic.see(bytes),
    );
    current = { machine, console };
    log.debug("enters the guest");
    const end = await machine.run();
    await console.flush();
    log.debug("left the guest", { end: end.kind, exits: JSON.stringify(machine.exits()) });
    await Promise.all(supervisors.map((supervisor) => supervisor.close()));
    const outcome = outcomeOf(end, panic);
    if (outcome !== undefined) return outcome;
    log.info("the guest resets");
  }
  return { kind: "off" };
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
