import { type Command, CommanderError } from "commander";
import { Log, type LogLevel } from "../machine/mod.ts";
import { ExitStatus, exitStatusOf } from "./exit_status.ts";
import { createProgram } from "./program.ts";

/** What every command is given: where to log, and how to end with another status than 0. */
export interface CliContext {
  log(): Log;
  /** What the user wants of a log. */
  logOptions(): { readonly format: "text" | "json"; readonly level: LogLevel };
  exitWith(status: number): void;
}

/**
 * The command line: runs one command.
 *
 * @param args the words behind the program's name
 * @returns the exit status, see {@linkcode ExitStatus}
 */
export async function main(args: readonly string[]): Promise<number> {
  let status: number = ExitStatus.Ok;
  const logOptions = () => {
    const { logFormat = "text", logLevel = "info" } = program.opts<
      { logFormat?: "text" | "json"; logLevel?: LogLevel }
    >();
    return { format: logFormat, level: logLevel };
  };
  const log = () => new Log(logOptions());
  const context: CliContext = {
    log,
    logOptions,
    exitWith: (code) => {
      status = code;
    },
  };
  const program: Command = createProgram(context);
  try {
    await program.parseAsync([...args], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode;
    }
    // Who reads what we print has seen enough: `spectrum logs app | head`.
    if (error instanceof Deno.errors.BrokenPipe) return status;
    status = exitStatusOf(error);
    const message = error instanceof Error ? error.message : String(error);
    log().error(message);
    if (status === ExitStatus.Internal && error instanceof Error && error.stack !== undefined) {
      log().debug(error.stack);
    }
  }
  return status;
}
