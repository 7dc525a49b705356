import type { Command } from "commander";
import { addExamples } from "./vm_command.ts";

/** `spectrum man`: the manual page. */
export function addManCommand(program: Command): void {
  const command = program.command("man")
    .description("print the manual page, in troff")
    .action(async () => {
      const { manPage } = await import("./man_page.ts");
      const { commandTree } = await import("./command_tree.ts");
      console.log(manPage(commandTree(program)));
    });
  addExamples(command, ["man | man -l -", "man > ~/.local/share/man/man1/spectrum.1"]);
}
