import type { Command } from "commander";
import { addVmCommand } from "./vm_command.ts";

interface LogsFlags {
  readonly console?: boolean;
  readonly follow?: boolean;
}

/** `spectrum logs NAME`: what a detached VM's monitor or console has printed. */
export function addLogsCommand(program: Command): void {
  addVmCommand(program, {
    name: "logs",
    description: "show the log of a detached VM's monitor, or its console; after its end, too",
    examples: ["logs app", "logs --console --follow app"],
  })
    .option("-c, --console", "what the guest printed")
    .option("-f, --follow", "go on until the VM has ended")
    .action(async (name: string, { console: ofConsole, follow }: LogsFlags) => {
      const { showLog } = await import("./show_log.ts");
      await showLog(name, ofConsole ? "console" : "monitor", follow ?? false);
    });
}
