import type { Command } from "commander";
import { parseConfig, readConfig, type VmConfig } from "../config/mod.ts";
import { type Log, type RunningVm, runVm } from "../machine/mod.ts";
import type { CliContext } from "./main.ts";
import { ExitStatus } from "./exit_status.ts";
import { resolveBoot } from "./resolve_boot.ts";
import { flagsToInput, type RunFlags } from "./run_options.ts";

const EXAMPLES = `
Examples:
  spectrum run app.toml
  spectrum run --kernel debian --initrd initrd.img --memory 512M --cpus 2 --disk data.img --rng
  spectrum run app.toml --disk other.img,readonly --console none
  spectrum run --detach app.toml && spectrum console app

On a terminal, Ctrl-A x ends the VM and Ctrl-A h lists the other keys.
Exit status: 0 the guest powered off, 1 usage or configuration, 2 the host cannot do it,
3 the guest failed, 4 internal error.`;

/** `spectrum run`: from a TOML file, flags, or both. */
export function addRunCommand(program: Command, context: CliContext): void {
  program.command("run")
    .description("run a VM until it powers off")
    .argument("[file]", "the VM's TOML file; flags replace its keys")
    .option("--name <name>", "name of the VM")
    .option("--kernel <kernel>", "debian, small, small:PROFILE, or a bzImage or ELF file")
    .option("--initrd <file>", "initial RAM disk")
    .option("--cmdline <words>", "added to the kernel's command line")
    .option("--root <disk>", "the disk that is the root file system, such as disk0")
    .option("--memory <size>", "memory, such as 512M or 2G")
    .option("--cpus <n>", "number of vCPUs, 1 to 8")
    .option(
      "--disk <path[,options]>",
      "an image or block device; options: readonly, cache=auto|none, queues=N. " +
        "socket=PATH instead of a path is the vhost-user socket of a foreign backend. May be repeated",
      (value: string, previous: string[] = []) => [...previous, value],
    )
    .option("--rng", "give the guest a source of random numbers")
    .option("--console <where>", "stdio, none, or a file")
    .option("--console-device <device>", "serial or virtio")
    .option("-d, --detach", "return when the guest's kernel runs; console and logs are kept")
    .addHelpText("after", EXAMPLES)
    .action(async (file: string | undefined, { detach, ...flags }: RunFlags & Detach) => {
      const config = await configOf(file, flags);
      if (detach) {
        const { runDetached } = await import("./run_detached.ts");
        return await runDetached(config, context.logOptions());
      }
      const log = context.log().for({ vm: config.name });
      const boot = await resolveBoot(config);
      const outcome = await runVm(config, boot, { log, attend: (vm) => serve(vm, log) });
      if (outcome.kind === "failed") {
        log.error(outcome.reason);
        context.exitWith(ExitStatus.Guest);
      }
    });
}

interface Detach {
  readonly detach?: boolean;
}

/** Lets others talk to a VM; loaded while it starts. */
async function serve(vm: RunningVm, log: Log): Promise<AsyncDisposable> {
  const { ControlServer } = await import("../control/mod.ts");
  return new ControlServer(vm, { dir: vm.runtime.path, log });
}

async function configOf(file: string | undefined, flags: RunFlags): Promise<VmConfig> {
  const input = flagsToInput(flags);
  return file === undefined
    ? await parseConfig("", "command line", input)
    : await readConfig(file, input);
}
