import type { Command } from "commander";
import { resolve } from "node:path";
import { AGENT_UNIT, guestConnect, guestServe, socketPath } from "../guest/mod.ts";
import { payload } from "../os/mod.ts";
import type { SandboxMode } from "../sandbox/mod.ts";
import type { CliContext } from "./main.ts";
import { sandboxOption } from "./option_values.ts";
import { print } from "./output.ts";
import { addExamples } from "./vm_command.ts";

const NOTES = `
The host's sockets, and the names by which a VM may reach them, stand in [wl.sockets] of the VM's file there.
Descriptors pass where both sides can have them: all from the host, and to it memory, pipes, sockets and events
that came from it or were made by way of /dev/wl0. It ends by Ctrl-C or SIGTERM, and then removes its socket.`
  .trim();

const SERVE_NOTES = `
Which devices, and for which VMs, stands in [[provides]] of this VM's file on the host. It ends when the VM's
monitor wants the guest to power off.`
  .trim();

/** `spectrum guest …`: what is of use inside a VM. */
export function addGuestCommand(program: Command, context: CliContext): void {
  const guest = program.command("guest").description("inside a VM: reach the host, serve devices");
  addExamples(guest, ["guest connect wayland"]);
  const serve = guest.command("serve")
    .description("in a VM that provides devices to others, serve them; our image does it by itself")
    .addOption(sandboxOption())
    .action(({ sandbox }: { sandbox?: SandboxMode }) => guestServe(context.log(), sandbox));
  addExamples(serve, ["guest serve"], SERVE_NOTES);
  addAgentCommand(guest);
  const connect = guest.command("connect")
    .description("in a VM, make a socket of the host a Unix socket here")
    .argument("<host-socket>", "the host's socket, as [wl.sockets] calls it")
    .option(
      "--socket <path>",
      "listen here; by default in $XDG_RUNTIME_DIR or /run, by the name of the host's, or what WAYLAND_DISPLAY says for wayland",
    )
    .action(async (name: string, flags: { socket?: string }) => {
      const path = resolve(flags.socket ?? socketPath(name));
      const log = context.log().for({ component: "guest connect" });
      using _connector = guestConnect({ name, path, warn: (text) => log.warn(text) });
      console.log(`Listening at ${path}`);
      await ending();
    });
  addExamples(
    connect,
    [
      "guest connect wayland & WAYLAND_DISPLAY=wayland-0 wayland-info",
      "guest connect db --socket /run/db.sock",
    ],
    NOTES,
  );
}

/** `spectrum guest agent`: for people who make images of their own. */
function addAgentCommand(guest: Command): void {
  const agent = guest.command("agent")
    .description("write out the agent that a guest needs for exec and cp, or its systemd unit")
    .option("--output <file>", "the program goes there")
    .option("--unit", "print the unit, which expects the program at /usr/lib/spectrum/agent")
    .action(async ({ output, unit }: { output?: string; unit?: boolean }) => {
      if (output !== undefined) {
        await Deno.writeFile(output, await Deno.readFile(payload().agent), { mode: 0o755 });
        await Deno.chmod(output, 0o755);
      }
      if (unit) await print(AGENT_UNIT);
      if (output === undefined && !unit) agent.help({ error: true });
    });
  addExamples(agent, [
    "guest agent --output root/usr/lib/spectrum/agent",
    "guest agent --unit > root/etc/systemd/system/spectrum-agent.service",
  ]);
}

/** Resolves when somebody wants this process to end. */
function ending(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      Deno.addSignalListener(signal, resolve);
    }
  });
}
