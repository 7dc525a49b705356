import type { Command } from "commander";
import { addVmCommand, withVm } from "./vm_command.ts";

/** `spectrum snapshot NAME DIR`: the state of a paused VM into a directory. */
export function addSnapshotCommand(program: Command): void {
  addVmCommand(program, {
    name: "snapshot",
    description: "write the state of a paused VM into a directory",
    examples: ["pause app && spectrum snapshot app /var/tmp/app && spectrum stop --force app"],
  })
    .argument("<dir>", "a directory that does not exist yet")
    .action(async (name: string, dir: string) => {
      await withVm(name, (vm) => vm.snapshot(dir));
    });
}
