import type { Command } from "commander";
import type { CliContext } from "./main.ts";
import { ExitStatus } from "./exit_status.ts";
import { coloured, printJson } from "./output.ts";
import { addExamples } from "./vm_command.ts";

/** `spectrum doctor`: what this host lacks. */
export function addDoctorCommand(program: Command, context: CliContext): void {
  const command = program.command("doctor")
    .description(
      "look at this host: what VMs need and what is missing, with the command that mends it",
    )
    .option("--json", "as data")
    .action(async ({ json }: { json?: boolean }) => {
      const { examineHost } = await import("./examine_host.ts");
      const findings = await examineHost();
      if (json) printJson(findings);
      else {
        const marks = {
          ok: ["green", "ok  "],
          note: ["yellow", "note"],
          bad: ["red", "bad "],
        } as const;
        for (const { what, verdict, found, mend } of findings) {
          const [colour, mark] = marks[verdict];
          console.log(`${coloured(colour, mark)}  ${what}: ${found}`);
          if (mend !== undefined) console.log(`      ${mend}`);
        }
      }
      if (findings.some(({ verdict }) => verdict === "bad")) context.exitWith(ExitStatus.Host);
    });
  addExamples(command, ["doctor", "doctor --json"], "The exit status is 2 when no VM can run.");
}
