import type { Command } from "commander";
import type { Vm } from "../control/mod.ts";

/** A command about one running VM. */
export interface VmCommand {
  readonly name: string;
  readonly description: string;
  /** Command lines that show how it is used. */
  readonly examples: readonly string[];
  /** More about it, for its help. */
  readonly notes?: string;
}

/** Help behind the options: notes, then examples. */
export function addExamples(command: Command, examples: readonly string[], notes = ""): Command {
  const title = examples.length === 1 ? "Example:" : "Examples:";
  const lines = examples.map((example) => `  spectrum ${example}`).join("\n");
  return command.addHelpText("after", `${notes && `\n${notes}\n`}\n${title}\n${lines}`);
}

/** Adds a command whose first argument is the name of a running VM. */
export function addVmCommand(
  program: Command,
  { name, description, examples, notes }: VmCommand,
): Command {
  const command = program.command(name).description(description)
    .argument("<name>", "name of the VM, as ps shows it");
  return addExamples(command, examples, notes);
}

/** Connects to the VM of a name while something is done with it. */
export async function withVm<T>(name: string, act: (vm: Vm) => Promise<T>): Promise<T> {
  const { Vm } = await import("../control/mod.ts");
  await using vm = await Vm.connect(name);
  return await act(vm);
}
