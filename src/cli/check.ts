import type { Command } from "commander";
import { formatSize } from "../config/mod.ts";
import { list, printJson } from "./output.ts";
import { addExamples } from "./vm_command.ts";

/** `spectrum check FILE`: whether a configuration can be used. */
export function addCheckCommand(program: Command): void {
  const command = program.command("check")
    .description("check a VM's TOML file; what is wrong is told by file, line and key")
    .argument("<file>", "the VM's TOML file")
    .option("--json", "the configuration with every default filled in, as data")
    .action(async (file: string, { json }: { json?: boolean }) => {
      const { readConfig } = await import("../config/mod.ts");
      const { resolveBoot } = await import("./resolve_boot.ts");
      const config = await readConfig(file);
      const boot = await resolveBoot(config);
      if (json) return printJson({ config, boot });
      console.log(list([
        [file, "can be used"],
        ["name", config.name],
        ["kernel", boot.kernel],
        ["cmdline", boot.cmdline],
        ["memory", formatSize(config.memory)],
        ["vCPUs", String(config.cpus)],
        [
          "disks",
          config.disk.map(({ path, socket, provider }) => path ?? socket ?? provider).join(", ") ||
          "none",
        ],
        ...(config.image === undefined ? [] : [["image", config.image] as const]),
        ["sockets of the host", Object.keys(config.wl?.sockets ?? {}).join(", ") || "none"],
      ]));
    });
  addExamples(command, ["check app.toml"]);
}
