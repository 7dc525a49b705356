import type { Command } from "commander";
import { addVmCommand } from "./vm_command.ts";

/** `spectrum console NAME`: attaches to a running VM's console. */
export function addConsoleCommand(program: Command): void {
  addVmCommand(program, {
    name: "console",
    description: "attach to a running VM's console; Ctrl-A d detaches",
    examples: ["console app", "echo uname -a | spectrum console app"],
    notes: "What was printed last comes first. The first who is attached writes, others watch.\n" +
      "Ctrl-A h lists the keys. Without a terminal, it detaches when its input has ended and\n" +
      "nothing was printed for a second.",
  })
    .action(async (name: string) => {
      const { attachConsole } = await import("./attach_console.ts");
      await attachConsole(name);
    });
}
