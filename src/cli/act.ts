import type { Command } from "commander";
import type { Vm } from "../control/mod.ts";
import { addVmCommand, type VmCommand, withVm } from "./vm_command.ts";

interface Act extends VmCommand {
  act(vm: Vm): Promise<unknown>;
}

const acts: readonly Act[] = [
  {
    name: "pause",
    description: "take a VM's vCPUs out of the guest until it is resumed",
    examples: ["pause app"],
    notes:
      "The guest's monotonic clock stands still meanwhile; its wall clock lags until its agent, or\n" +
      "something else in the guest, sets it.",
    act: (vm) => vm.pause(),
  },
  {
    name: "resume",
    description: "let a paused VM go on",
    examples: ["resume app"],
    act: (vm) => vm.resume(),
  },
  {
    name: "reset",
    description: "reset a VM's machine at once, as its guest itself can",
    examples: ["reset app"],
    act: (vm) => vm.reset(),
  },
];

/** Commands that ask a VM for one thing: `spectrum pause|resume|reset NAME`. */
export function addActCommands(program: Command): void {
  for (const command of acts) {
    addVmCommand(program, command).action(async (name: string) => {
      await withVm(name, command.act);
    });
  }
}
