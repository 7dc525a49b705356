import { join } from "node:path";
import { MachineError } from "./outcome.ts";

/**
 * Where runtime directories live: `$XDG_RUNTIME_DIR/spectrum`, else `/run/spectrum-UID` where that can be made, else
 * a private folder in `/tmp`.
 *
 * @throws {MachineError} when the folder is none, or belongs to somebody else
 */
export function runtimeBase(): string {
  const uid = Deno.uid() ?? 0;
  const xdg = Deno.env.get("XDG_RUNTIME_DIR");
  if (xdg !== undefined && xdg !== "") return checked(join(xdg, "spectrum"), uid);
  const run = `/run/spectrum-${uid}`;
  if (isPrivate(run, uid)) return run;
  const path = `/tmp/spectrum-${uid}`;
  if (isPrivate(path, uid)) return path;
  throw new MachineError(
    "host",
    `${path} is not a private directory of yours. Remove it, or set XDG_RUNTIME_DIR.`,
  );
}

/** It need not be there yet. The VMs of another user are only for root to look at. */
function checked(path: string, uid: number): string {
  const refuse = (reason: string) =>
    new MachineError(
      "host",
      `Cannot use ${path}: ${reason}. Set XDG_RUNTIME_DIR to another place.`,
    );
  let stat: Deno.FileInfo;
  try {
    stat = Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return path;
    throw refuse(error instanceof Error ? error.message : String(error));
  }
  if (!stat.isDirectory) throw refuse("it is no directory");
  if (stat.uid !== uid && uid !== 0) throw refuse(`it belongs to user ${stat.uid}`);
  return path;
}

/** Whether there is, or could be made, a directory for this user alone. */
function isPrivate(path: string, uid: number): boolean {
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    const stat = Deno.lstatSync(path);
    return stat.isDirectory && stat.uid === uid && ((stat.mode ?? 0) & 0o077) === 0;
  } catch {
    // Somebody's file is there, or nothing can be made.
    return false;
  }
}
