import type { VmConfig } from "../config/mod.ts";
import type { BootPlan } from "./boot_plan.ts";
import type { RunOutcome } from "./outcome.ts";
import { RunningVm, type StartOptions } from "./running_vm.ts";
import { Terminal } from "./terminal.ts";

/** How long a guest has to power off after SIGTERM, in milliseconds. */
const GRACE_MS = 30_000;

/** What goes with a run, beside its configuration. */
export interface RunOptions extends Pick<StartOptions, "log" | "restore" | "headless" | "sandbox"> {
  /** Told of the VM when it starts; what is returned is disposed of when the VM has ended, before its name is free. */
  readonly attend?: (vm: RunningVm) => Promise<AsyncDisposable>;
}

/**
 * Runs a VM until its guest powers off or fails, or its user ends it; a guest that resets is started again in this
 * process, which does nothing else and gives up what that does not need.
 *
 * @throws {MachineError} @throws {KernelError} @throws {HostError} when it cannot be started
 */
export async function runVm(
  config: VmConfig,
  plan: BootPlan,
  { attend, ...options }: RunOptions,
): Promise<RunOutcome> {
  const attended = Promise.withResolvers<void>();
  await using vm = RunningVm.start(config, plan, { ...options, confined: attended.promise });
  using _ending = onSignals(["SIGINT", "SIGHUP"], () => vm.quit());
  let stopping = false;
  using _stopping = onSignals(["SIGTERM"], () => {
    // A second one ends it at once.
    if (stopping) return vm.quit();
    stopping = true;
    vm.stop(GRACE_MS).catch(() => {});
  });
  using input = config.console.to === "stdio" && !options.headless
    ? vm.console.takeInput()
    : undefined;
  using _terminal = input && new Terminal({
    input: (bytes) => input.input(bytes),
    quit: () => vm.quit(),
    pressPowerButton: () => {
      if (vm.info().state === "running") vm.powerButton();
    },
  });
  const attendant = attend?.(vm);
  void Promise.allSettled([attendant]).then(() => attended.resolve());
  await using _attendant = await attendant;
  return await vm.outcome;
}

function onSignals(signals: readonly Deno.Signal[], handler: () => void): Disposable {
  for (const signal of signals) Deno.addSignalListener(signal, handler);
  return {
    [Symbol.dispose]() {
      for (const signal of signals) Deno.removeSignalListener(signal, handler);
    },
  };
}
