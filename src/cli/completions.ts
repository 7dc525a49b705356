import { Argument, type Command } from "commander";
import { addExamples } from "./vm_command.ts";

/** Shells that can be completed in. */
export const shells = ["bash", "zsh", "fish"] as const;

/** `spectrum completions SHELL`: a script that completes our command line. */
export function addCompletionsCommand(program: Command): void {
  const command = program.command("completions")
    .description("print a script by which a shell completes commands, options and names of VMs")
    .addArgument(new Argument("<shell>", "for which shell").choices(shells))
    .action(async (shell: typeof shells[number]) => {
      const { completionScript } = await import("./completion_scripts.ts");
      const { commandTree } = await import("./command_tree.ts");
      console.log(completionScript[shell](commandTree(program)));
    });
  addExamples(command, [
    "completions bash > ~/.local/share/bash-completion/completions/spectrum",
    'completions zsh > "${fpath[1]}/_spectrum"',
    "completions fish > ~/.config/fish/completions/spectrum.fish",
  ]);
}
