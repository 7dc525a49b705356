import { Command, CommanderError, Option } from "commander";
import { Log, type LogLevel } from "../machine/mod.ts";
import { addDeviceCommand } from "./device.ts";
import { ExitStatus, exitStatusOf } from "./exit_status.ts";
import { addKernelCommand } from "./kernel.ts";
import { addRunCommand } from "./run.ts";

/** What every command is given: where to log, and how to end with another status than 0. */
export interface CliContext {
  log(): Log;
  exitWith(status: number): void;
}

/** Version of this program. */
export const VERSION = "0.1.0";

/**
 * The command line: runs one command.
 *
 * @param args the words behind the program's name
 * @returns the exit status, see {@linkcode ExitStatus}
 */
export async function main(args: readonly string[]): Promise<number> {
  let status: number = ExitStatus.Ok;
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
  const log = () => {
    const { logFormat = "text", logLevel = "info" } = program.opts<
      { logFormat?: "text" | "json"; logLevel?: LogLevel }
    >();
    return new Log({ format: logFormat, level: logLevel });
  };
  const context: CliContext = {
    log,
    exitWith: (code) => {
      status = code;
    },
  };
  addRunCommand(program, context);
  addDeviceCommand(program, context);
  addKernelCommand(program);
  try {
    await program.parseAsync([...args], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? ExitStatus.Ok : ExitStatus.Usage;
    }
    status = exitStatusOf(error);
    const message = error instanceof Error ? error.message : String(error);
    log().error(message);
    if (status === ExitStatus.Internal && error instanceof Error && error.stack !== undefined) {
      log().debug(error.stack);
    }
  }
  return status;
}
