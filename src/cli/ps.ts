import type { Command } from "commander";
import type { VmEntry } from "../control/mod.ts";
import type { RunOutcome, VmInfo } from "../machine/mod.ts";
import type { SandboxMode } from "../sandbox/mod.ts";
import { duration, printJson, table } from "./output.ts";
import { addExamples } from "./vm_command.ts";

interface PsFlags {
  readonly all?: boolean;
  readonly quiet?: boolean;
  readonly json?: boolean;
}

/** `spectrum ps`: which VMs run. */
export function addPsCommand(program: Command): void {
  const command = program.command("ps")
    .description("list the VMs that run")
    .option("-a, --all", "those that have ended and whose logs are kept, too")
    .option("-q, --quiet", "only names")
    .option("--json", "as data")
    .action(async ({ all, quiet, json }: PsFlags) => {
      const { listVms } = await import("../control/mod.ts");
      const entries = listVms().filter(({ running }) => running || all);
      if (quiet) return void entries.forEach(({ name }) => console.log(name));
      const rows = await Promise.all(entries.map(look));
      if (json) return printJson(rows);
      if (rows.length === 0) return console.log("No VM runs. Start one: spectrum run FILE");
      console.log(table(
        ["NAME", "STATE", "PID", "UPTIME", "CPUS", "MEMORY", "PORTS", "WAITS"],
        rows.map((
          {
            name,
            state,
            sandbox = "full",
            pid,
            uptimeSeconds,
            cpus,
            memoryBytes,
            ports = [],
            waits = [],
          },
        ) => [
          name,
          sandbox === "full" ? state : `${state}, ${sandbox} sandbox`,
          pid === undefined ? "-" : String(pid),
          uptimeSeconds === undefined ? "-" : duration(uptimeSeconds),
          cpus === undefined ? "-" : String(cpus),
          memoryBytes === undefined ? "-" : `${memoryBytes / 2 ** 20} MiB`,
          ports.join(" "),
          waits.join("; "),
        ]),
      ));
    });
  addExamples(command, ["ps", "ps --all --json"]);
}

/** A line of the list. */
interface Row {
  readonly name: string;
  readonly state: string;
  readonly sandbox?: SandboxMode;
  readonly pid?: number;
  readonly startedAt?: string;
  readonly uptimeSeconds?: number;
  readonly cpus?: number;
  readonly memoryBytes?: number;
  readonly outcome?: RunOutcome;
  /** Ports of the host that lead to it. */
  readonly ports?: readonly string[];
  /** What of it waits for another VM, a sentence each. */
  readonly waits?: readonly string[];
}

/** What is known of a VM: one that runs is asked, as far as it answers. */
async function look(
  { name, running, pid, startedAt, outcome }: VmEntry,
): Promise<Row> {
  const known = { name, pid: running ? pid : undefined, startedAt };
  if (!running) {
    const state = outcome === undefined ? "killed" : outcome.kind === "failed" ? "failed" : "ended";
    return { ...known, state, outcome };
  }
  const { Vm } = await import("../control/mod.ts");
  try {
    await using vm = await Vm.connect(name);
    const info = await vm.info();
    const { state, sandbox, uptimeSeconds, cpus, memoryBytes } = info;
    const ports = info.devices.flatMap(({ net }) => net?.publish ?? []);
    const load = { uptimeSeconds, cpus, memoryBytes };
    return { ...known, state, sandbox, ...load, ports, waits: waitsOf(info) };
  } catch {
    // It has not got so far yet, or ends just now.
    return { ...known, state: "starting" };
  }
}

function waitsOf({ devices, provides }: VmInfo): string[] {
  return [
    ...devices.flatMap(({ name, away }) => away === undefined ? [] : [`${name} ${away}`]),
    ...provides.flatMap(({ device, to, detail }) =>
      detail === "" ? [] : [`${device} of "${to}": ${detail}`]
    ),
  ];
}
