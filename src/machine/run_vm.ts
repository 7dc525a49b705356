import type { VmConfig } from "../config/mod.ts";
import type { BootPlan } from "./boot_plan.ts";
import { openConsoleOutput } from "./console_output.ts";
import { Host } from "./host.ts";
import type { Log } from "./log.ts";
import { Machine } from "./machine.ts";
import type { MachineEnd } from "./describe_outcome.ts";
import type { RunOutcome } from "./outcome.ts";
import { PanicWatch } from "./panic_watch.ts";
import { SerialConsole } from "./serial_console.ts";
import { Terminal } from "./terminal.ts";

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
  while (!userQuit) {
    const panic = new PanicWatch();
    using machine = Machine.assemble(host, config, plan);
    using console = new SerialConsole(
      machine.serial,
      host.reactor,
      output,
      (bytes) => panic.see(bytes),
    );
    current = { machine, console };
    log.debug("enters the guest");
    const end = await machine.run();
    await console.flush();
    log.debug("left the guest", { end: end.kind, exits: JSON.stringify(machine.exits()) });
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
