import type { Command } from "commander";
import type { CliContext } from "./main.ts";
import { ExitStatus } from "./exit_status.ts";
import { wholeNumber } from "./option_values.ts";
import { addVmCommand, withVm } from "./vm_command.ts";

interface StopFlags {
  readonly grace: number;
  readonly force?: boolean;
}

/** `spectrum stop NAME`: the power button, then the hard way. */
export function addStopCommand(program: Command, context: CliContext): void {
  addVmCommand(program, {
    name: "stop",
    description: "press a VM's power button, and end it if it has not powered off in time",
    examples: ["stop app", "stop --grace 5 app", "stop --force app"],
  })
    .option("--grace <seconds>", "how long it has", wholeNumber(0, 86_400), 30)
    .option("--force", "end it at once")
    .action(async (name: string, { grace, force }: StopFlags) => {
      const outcome = await withVm(name, (vm) => vm.stop({ graceMs: grace * 1000, force }));
      if (outcome.kind !== "failed") return;
      context.log().error(`The VM "${name}" failed: ${outcome.reason}`);
      context.exitWith(ExitStatus.Guest);
    });
}
