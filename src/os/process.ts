import { Errno } from "./errno.ts";
import { Fd, type Owned } from "./fd.ts";
import { cString, monitor } from "./library.ts";
import { check } from "./os_error.ts";

/** How a process ended. */
export type ExitStatus = { readonly status: number } | { readonly signal: number };

/**
 * Runs the starter with one descriptor beside the standard ones: its socket, as number 3. It dies
 * with the calling thread, so call this on the main one.
 *
 * @param program a path, or an open executable
 * @returns its process id, for {@link reap}
 */
export function spawnStarter(program: string | Fd, socket: Fd): number {
  const isPath = typeof program === "string";
  const result = monitor().sp_spawn_starter(
    isPath ? -1 : program.raw(),
    cString(isPath ? program : ""),
    socket.raw(),
  );
  return check(result, "run", isPath ? program : "the starter");
}

/** How a process that we spawned ended; undefined while it runs. */
export function reap(pid: number): ExitStatus | undefined {
  const result = monitor().sp_reap(pid);
  if (result === -Errno.EAGAIN) return undefined;
  check(result, "wait for", `process ${pid}`);
  return result < 256 ? { status: result } : { signal: result - 256 };
}

/** A descriptor that becomes readable when a process that we spawned, and have not reaped, ends. */
export function processDescriptor(pid: number): Owned<Fd> {
  return Fd.own(check(monitor().sp_pidfd(pid), "watch", `process ${pid}`));
}

const streams = { input: 0, output: 1, error: 2 } as const;

/** Lets a standard stream of this process be an open file from here on; the descriptor stays the caller's. */
export function redirect(stream: keyof typeof streams, to: Fd): void {
  check(monitor().sp_redirect(to.raw(), streams[stream]), "redirect", `standard ${stream}`);
}
