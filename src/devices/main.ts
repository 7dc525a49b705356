import { Fd, fileStat, ignoreInspectorSignal, useLibrary, Window } from "../os/mod.ts";
import { escapeAttempts, lockDown, permissionsLeft } from "../sandbox/mod.ts";
import { DeviceLoop } from "../vhost/mod.ts";
import { openDevice } from "./open_device.ts";
import { ArgumentError, WorkerArguments } from "./worker_arguments.ts";

/**
 * The worker: one device, on descriptors that it was handed, for the frontend at the other end of one
 * of them. With `--fd` it ends with that connection: with 0 when the frontend hangs up, with 1 when it
 * breaks the protocol. With `--listen-fd` it serves one frontend after the other.
 */
function main(words: readonly string[]): void {
  useLibrary("worker");
  ignoreInspectorSignal();
  const log = (text: string) => console.error(`spectrum device ${words[0] ?? ""}: ${text}`);
  try {
    const args = new WorkerArguments(words);
    const connected = args.number("--fd");
    const listening = args.number("--listen-fd");
    if ((connected === undefined) === (listening === undefined)) {
      throw new ArgumentError("give one of --fd and --listen-fd");
    }
    const socket = Fd.inherited(connected ?? listening ?? -1);
    if (!fileStat(socket).isSocket) throw new ArgumentError("the connection is not a socket");
    const window = Window.reserve();
    const device = openDevice(args, window, log);
    const loop = new DeviceLoop(device, { window, log });
    lockDown();
    if (args.has("--report")) return void reportLock();
    if (listening !== undefined) loop.serveEach(socket);
    if (!loop.serve(socket)) Deno.exit(1);
  } catch (error) {
    log(error instanceof Error ? error.message : String(error));
    Deno.exit(1);
  }
  Deno.exit(0);
}

/** Tries what a worker must not be able to do, and prints what came of it. */
async function reportLock(): Promise<void> {
  const report = { left: permissionsLeft(), attempts: await escapeAttempts() };
  console.log(`REPORT ${JSON.stringify(report)} END`);
  Deno.exit(0);
}

main(Deno.args);
