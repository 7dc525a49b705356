import { Command, Option } from "commander";
import { addActCommands } from "./act.ts";
import { addCheckCommand } from "./check.ts";
import { addCompletionsCommand } from "./completions.ts";
import { addConsoleCommand } from "./console.ts";
import { addCpCommand } from "./cp.ts";
import { addDeviceCommand } from "./device.ts";
import { addDoctorCommand } from "./doctor.ts";
import { addEventsCommand } from "./events.ts";
import { addExecCommand } from "./exec.ts";
import { addGuestCommand } from "./guest.ts";
import { addImageCommand } from "./image.ts";
import { addInfoCommand } from "./info.ts";
import { addKernelCommand } from "./kernel.ts";
import { addLogsCommand } from "./logs.ts";
import type { CliContext } from "./main.ts";
import { addManCommand } from "./man.ts";
import { addMetricsCommand } from "./metrics.ts";
import { addMonitorCommand } from "./monitor.ts";
import { addPsCommand } from "./ps.ts";
import { addRestartDeviceCommand } from "./restart_device.ts";
import { addRunCommand } from "./run.ts";
import { addSnapshotCommand } from "./snapshot.ts";
import { addStopCommand } from "./stop.ts";

/** Version of this program. */
export const VERSION = "0.1.0";

/**
 * All commands with their options and help: what is parsed, and what completions, the man page and docs/cli.md are
 * made of.
 */
export function createProgram(context: CliContext): Command {
  const program = new Command("spectrum")
    .description(
      "Runs every application in its own KVM virtual machine, every device in a sandbox.",
    )
    .version(VERSION)
    .showHelpAfterError("(add --help for the options)")
    .enablePositionalOptions()
    .addOption(new Option("--log-format <format>", "how log lines look").choices(["text", "json"]))
    .addOption(
      new Option("--log-level <level>", "the least important lines that are shown")
        .choices(["debug", "info", "warn", "error"]),
    )
    .exitOverride();
  addRunCommand(program, context);
  addPsCommand(program);
  addInfoCommand(program);
  addConsoleCommand(program);
  addExecCommand(program, context);
  addCpCommand(program, context);
  addStopCommand(program, context);
  addActCommands(program);
  addRestartDeviceCommand(program, context);
  addSnapshotCommand(program);
  addLogsCommand(program);
  addEventsCommand(program);
  addMetricsCommand(program);
  addCheckCommand(program);
  addDoctorCommand(program, context);
  addDeviceCommand(program, context);
  addKernelCommand(program);
  addImageCommand(program);
  addGuestCommand(program, context);
  addCompletionsCommand(program);
  addManCommand(program);
  addMonitorCommand(program);
  return program;
}
