import type { Command } from "commander";
import { ExitStatus } from "./exit_status.ts";
import type { CliContext } from "./main.ts";
import { wholeNumber } from "./option_values.ts";
import { addVmCommand, withVm } from "./vm_command.ts";

interface RestartFlags {
  readonly wait: number;
}

/** `spectrum restart-device NAME DEVICE`: a new backend for one device of a VM that runs. */
export function addRestartDeviceCommand(program: Command, context: CliContext): void {
  addVmCommand(program, {
    name: "restart-device",
    description: "end the backend of one of a VM's devices and bring a new one",
    examples: ["restart-device app disk0"],
    notes:
      "The guest goes on; the new backend repeats what the old one had in hand. A backend that\n" +
      "somebody else runs, or that is in another VM, is not ours to end: it loses its\n" +
      "connection, and the device is away until it is there again.",
  })
    .argument("<device>", "which one, as info shows it")
    .option("--wait <seconds>", "how long to wait for the new one", wholeNumber(0, 86_400), 30)
    .action(async (name: string, device: string, { wait }: RestartFlags) => {
      const { state, backend, pid } = await withVm(
        name,
        (vm) => vm.restartDevice(device, { waitMs: wait * 1000 }),
      );
      if (state === "connected") {
        console.log(`${device} has a new backend${pid === undefined ? "" : `: process ${pid}`}`);
        return;
      }
      const whose = {
        worker: `Its worker does not start: see spectrum logs ${name}.`,
        foreign: "Start that again; it is connected to as soon as it listens.",
        vm: "It has to come back in its VM.",
      }[backend];
      context.log().error(
        `${device} is still away: no backend has come within ${wait} s. ${whose} The device waits.`,
      );
      context.exitWith(ExitStatus.Host);
    });
}
