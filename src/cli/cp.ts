import { Argument, type Command } from "commander";
import { orOwnFailure } from "./exec.ts";
import type { CliContext } from "./main.ts";
import { wholeNumber } from "./option_values.ts";
import { addExamples } from "./vm_command.ts";

/** The flags of `spectrum cp`. */
export interface CpFlags {
  readonly user?: string;
  readonly timeout: number;
}

/** `spectrum cp SOURCE DESTINATION`: files into a running VM and out of it. */
export function addCpCommand(program: Command, context: CliContext): void {
  const command = program.command("cp")
    .description("copy files and folders into a VM's guest, or out of it")
    .addArgument(new Argument("<source>", "NAME:PATH in a VM, or a path here; - is standard input"))
    .addArgument(
      new Argument("<destination>", "the same; a folder takes the copy in; - is standard output"),
    )
    .option(
      "-u, --user <user[:group]>",
      "as whom the guest's files are read and written; root by default",
    )
    .option("--timeout <seconds>", "how long to wait for the agent", wholeNumber(0, 86_400), 30)
    .action(async (source: string, destination: string, flags: CpFlags) => {
      await orOwnFailure(context, async () => {
        const { copyFiles } = await import("./copy_files.ts");
        await copyFiles(source, destination, flags, context.log());
      });
    });
  addExamples(
    command,
    ["cp site app:/srv", "cp app:/var/log/syslog .", "cp app:/etc/hosts - | less"],
    "Modes, times and symbolic links are kept; owners, set-user-ID bits and devices are not. Paths in a\n" +
      "guest that do not begin with / begin at the user's home. A path here with a colon in it: ./a:b.\n" +
      "Exit status: 0, or 125 when it cannot be done.",
  );
}
