import type { Command } from "commander";
import { print } from "./output.ts";
import { addVmCommand, withVm } from "./vm_command.ts";

/** `spectrum metrics NAME`: counters for Prometheus. */
export function addMetricsCommand(program: Command): void {
  addVmCommand(program, {
    name: "metrics",
    description: "show a running VM's counters, in Prometheus' text format",
    examples: ["metrics app", "metrics app | grep exits"],
  }).action(async (name: string) => {
    await print(await withVm(name, (vm) => vm.metrics()));
  });
}
