import { AgentError } from "../agent/mod.ts";
import { Vm } from "../control/mod.ts";
import type { Log } from "../machine/mod.ts";
import type { CpFlags } from "./cp.ts";

/** A path in a VM's guest. */
interface GuestPath {
  readonly vm: string;
  readonly path: string;
}

/** Copies between this machine and a VM's guest, one of which each of the two words names. */
export async function copyFiles(
  source: string,
  destination: string,
  { user, timeout }: CpFlags,
  log: Log,
): Promise<void> {
  const from = guestPath(source), to = guestPath(destination);
  if ((from === undefined) === (to === undefined)) {
    throw new AgentError(
      "One of the two has to be in a VM, and one here: spectrum cp FILE NAME:PATH.",
    );
  }
  const options = {
    ...{ user, waitMs: timeout * 1000 },
    onWait: () => log.warn("waiting for the agent in the guest"),
    onSkip: (path: string) => log.warn(`left out, neither file, folder nor link: ${path}`),
  };
  if (to !== undefined) {
    await using vm = await Vm.connect(to.vm);
    await vm.copyTo(source === "-" ? Deno.stdin.readable : source, to.path, options);
  } else if (from !== undefined) {
    await using vm = await Vm.connect(from.vm);
    await vm.copyFrom(from.path, destination === "-" ? Deno.stdout.writable : destination, options);
  }
}

/** What `NAME:PATH` names; undefined for a path here. */
function guestPath(word: string): GuestPath | undefined {
  const [, vm, path] = /^([a-z0-9-]+):([^]*)$/.exec(word) ?? [];
  return vm === undefined ? undefined : { vm, path: path === "" ? "." : path };
}
