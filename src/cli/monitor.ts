import type { Command } from "commander";

/** `spectrum monitor`: a VM in a process of its own, for those who start one; not for people. */
export function addMonitorCommand(program: Command): void {
  program.command("monitor", { hidden: true })
    .description("run the VM that standard input describes; used by run --detach and the library")
    .action(async () => {
      const { runMonitor } = await import("./run_monitor.ts");
      await runMonitor();
    });
}
