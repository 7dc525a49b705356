import type { VmConfig } from "../config/mod.ts";
import { type MonitorOrder, MonitorProcess, newLogFile } from "../control/mod.ts";
import type { LogOptions } from "../machine/mod.ts";

/** Starts a VM in a monitor of its own, and returns when the guest's kernel runs. Ctrl-C meanwhile ends it. */
export async function runDetached(
  config: VmConfig,
  log: Pick<LogOptions, "format" | "level">,
  more: Pick<MonitorOrder, "restore" | "sandbox">,
): Promise<void> {
  const interrupt = new AbortController();
  const abort = () => interrupt.abort();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, abort);
  try {
    const order = { config, ...more, log, logFile: newLogFile(), bound: false };
    const monitor = await MonitorProcess.start(order, interrupt);
    monitor.letGo();
    console.log(config.name);
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, abort);
  }
}
