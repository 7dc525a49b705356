import { resolve } from "node:path";
import type { Command } from "commander";
import { ConfigError, parseConfig, readConfig, type VmConfig } from "../config/mod.ts";
import { type Log, readSnapshotInfo, type RunningVm, runVm } from "../machine/mod.ts";
import type { SandboxMode } from "../sandbox/mod.ts";
import type { CliContext } from "./main.ts";
import { ExitStatus } from "./exit_status.ts";
import { prepareBoot } from "./resolve_boot.ts";
import { repeated, repeatedOrNot, sandboxOption } from "./option_values.ts";
import { flagsToInput, type RunFlags } from "./run_options.ts";

const EXAMPLES = `
Examples:
  spectrum run app.toml
  spectrum run --kernel debian --initrd initrd.img --memory 512M --cpus 2 --disk data.img --rng
  spectrum run web.toml --publish 8080:80
  spectrum run app.toml --disk other.img,readonly --console none
  spectrum run --restore /var/tmp/app --name second
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
    .option("--image <image>", "the image that is the root file system, see: spectrum image build")
    .option("--overlay <size>", "the most that the VM may write on top of its image")
    .option("--disposable", "throw that away at the VM's end")
    .option("--memory <size>", "memory, such as 512M or 2G")
    .option("--cpus <n>", "number of vCPUs, 1 to 8")
    .option(
      "--disk <path[,options]>",
      "an image or block device; options: readonly, cache=auto|none, queues=N, iops=N, bandwidth=SIZE. " +
        "socket=PATH instead of a path is the vhost-user socket of a foreign backend, " +
        "vm=NAME a backend that runs in another VM. May be repeated",
      repeated,
    )
    .option(
      "--net [way]",
      "a network device: user (without privileges, by passt), tap=NAME or vm=NAME. May be repeated",
      repeatedOrNot,
    )
    .option(
      "--publish <ports>",
      "a port of the host that leads to one of the guest: 8080:80, 127.0.0.1:2222:22 or 5353:53/udp (repeatable)",
      repeated,
    )
    .option("--vsock", "sockets between guest and host (docs/vsock.md)")
    .option("--rng", "give the guest a source of random numbers")
    .option("--console <where>", "stdio, none, or a file")
    .option("--console-device <device>", "serial or virtio")
    .option("--wl", "Virtio Wayland, for programs in the guest that talk to the host")
    .option(
      "--wl-socket <name=path>",
      "a socket of the host that the guest may open, or wayland=auto (repeatable)",
      repeated,
    )
    .option("--restore <dir>", "go on from a snapshot; flags replace keys of its configuration")
    .addOption(sandboxOption())
    .option("-d, --detach", "return when the guest's kernel runs; console and logs are kept")
    .addHelpText("after", EXAMPLES)
    .action(
      async (file: string | undefined, { detach, restore, sandbox, ...flags }: RunFlags & More) => {
        const saved = restore === undefined ? undefined : await savedVm(restore, file, flags);
        const config = saved?.config ?? await configOf(file, flags);
        if (detach) {
          const { runDetached } = await import("./run_detached.ts");
          return await runDetached(config, context.logOptions(), { restore: saved?.dir, sandbox });
        }
        const log = context.log().for({ vm: config.name });
        const boot = saved?.plan ?? await prepareBoot(config, (text) => log.warn(text));
        const outcome = await runVm(config, boot, {
          ...{ log, restore: saved?.dir, sandbox },
          attend: (vm) => serve(vm, log),
        });
        if (outcome.kind === "failed") {
          log.error(outcome.reason);
          context.exitWith(ExitStatus.Guest);
        }
      },
    );
}

/** What is no key of a configuration. */
interface More {
  readonly detach?: boolean;
  readonly restore?: string;
  readonly sandbox?: SandboxMode;
}

/** What a snapshot is of, with the flags' changes. */
async function savedVm(dir: string, file: string | undefined, flags: RunFlags) {
  if (file !== undefined) {
    throw new ConfigError(
      "a snapshot brings its own configuration; leave the file out, flags may change it",
      "command line",
      "--restore",
    );
  }
  const path = resolve(dir);
  return { dir: path, ...await readSnapshotInfo(path, flagsToInput(flags)) };
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
