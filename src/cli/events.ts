import type { Command } from "commander";
import { print } from "./output.ts";
import { addVmCommand, withVm } from "./vm_command.ts";

/** `spectrum events NAME`: what happens to a VM, as it happens. */
export function addEventsCommand(program: Command): void {
  addVmCommand(program, {
    name: "events",
    description: "show what happens to a running VM, until it has ended",
    examples: ["events app", "events --json app | jq .kind"],
  })
    .option("--json", "a line of JSON each")
    .action(async (name: string, { json }: { json?: boolean }) => {
      await withVm(name, async (vm) => {
        for await (const event of vm.events()) {
          const { time, kind, device, detail } = event;
          const words = [time, kind, device, detail].filter((word) => word !== undefined);
          await print(`${json ? JSON.stringify(event) : words.join(" ")}\n`);
        }
      });
    });
}
