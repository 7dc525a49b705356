import { type Command, CommanderError } from "commander";
import type { CliContext } from "./main.ts";
import { repeated, wholeNumber } from "./option_values.ts";
import { addVmCommand } from "./vm_command.ts";

/** The flags of `spectrum exec`. */
export interface ExecFlags {
  readonly user?: string;
  readonly env?: readonly string[];
  readonly cwd?: string;
  /** Undefined: when standard input and output are terminals. */
  readonly tty?: boolean;
  readonly stdin: boolean;
  readonly timeout: number;
}

/** Exit status for everything that is not the command's. */
export const OWN_FAILURE = 125;

/** `spectrum exec NAME COMMAND…`: a command in a running VM. */
export function addExecCommand(program: Command, context: CliContext): void {
  addVmCommand(program, {
    name: "exec",
    description: "run a command in a VM's guest, as if it ran here",
    examples: [
      "exec app uname -a",
      "exec app -- sh",
      "exec -u www-data -w /var/www app ls -l",
      "tar c . | spectrum exec app tar x -C /srv",
    ],
    notes:
      "The VM needs [vsock], and an agent in its guest: one that boots with our initial RAM disk has it.\n" +
      "Signals are passed on; the third one leaves the command, which is then hung up. The exit status is\n" +
      "the command's, 128 and the number of the signal that killed it, 127 when there is no such command,\n" +
      "126 when it cannot be run, 125 for everything else.",
  })
    .argument("<command...>", "the command and its arguments")
    .option("-u, --user <user[:group]>", "as whom, by name or number; root by default")
    .option("-e, --env <key=value>", "a variable of its environment (repeatable)", repeated)
    .option("-w, --cwd <path-in-guest>", "where it runs; by default the user's home")
    .option("-t, --tty", "give it a terminal; by default when standard input and output are one")
    .option("--no-tty", "give it none")
    .option("-i, --interactive", "connect standard input, which is the default")
    .option("--no-stdin", "leave its standard input empty")
    .option("--timeout <seconds>", "how long to wait for the agent", wholeNumber(0, 86_400), 30)
    .passThroughOptions()
    .exitOverride(({ exitCode, code, message }) => {
      throw new CommanderError(exitCode === 0 ? 0 : OWN_FAILURE, code, message);
    })
    .action(async (name: string, words: string[], flags: ExecFlags) => {
      // The parser leaves it to who passes words on.
      const command = words[0] === "--" ? words.slice(1) : words;
      await orOwnFailure(context, async () => {
        const { execInGuest } = await import("./exec_in_guest.ts");
        context.exitWith(await execInGuest(name, command, flags, context.log()));
      });
    });
}

/** Does something in a guest; what goes wrong is said, and has a status that no command's is taken for. */
export async function orOwnFailure(context: CliContext, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    context.log().error(error instanceof Error ? error.message : String(error));
    const { AgentError } = await import("../agent/mod.ts");
    context.exitWith(error instanceof AgentError ? error.exitStatus : OWN_FAILURE);
  }
}
