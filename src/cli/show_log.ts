import { join } from "node:path";
import { ControlError, findVm } from "../control/mod.ts";
import { isRunning } from "../machine/mod.ts";

/** How often a file that is followed is looked at, in milliseconds. */
const PAUSE_MS = 200;

/** Prints a log of a VM; when it is followed, until the VM has ended. */
export async function showLog(
  name: string,
  which: "monitor" | "console",
  follow: boolean,
): Promise<void> {
  const { dir } = findVm(name);
  const path = join(dir, which === "monitor" ? "log" : "console.log");
  let file = open(path);
  if (file === undefined) {
    throw new ControlError(
      "not-found",
      `The VM "${name}" keeps no ${which} log: it was not started by run --detach, or prints elsewhere.`,
    );
  }
  if (which === "console") await print(open(`${path}.1`));
  for (;;) {
    // Looked at first: what it printed at its end is there by then.
    const running = isRunning(dir);
    await print(file);
    if (!follow || !running) break;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    const { ino } = file.statSync();
    if (inode(path) === ino) continue;
    await print(file);
    file.close();
    file = open(path);
    if (file === undefined) return;
  }
  file.close();
}

async function print(file: Deno.FsFile | undefined): Promise<void> {
  if (file === undefined) return;
  const buffer = new Uint8Array(65536);
  for (let count; (count = await file.read(buffer)) !== null;) {
    for (let at = 0; at < count;) at += await Deno.stdout.write(buffer.subarray(at, count));
  }
}

function open(path: string): Deno.FsFile | undefined {
  try {
    return Deno.openSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function inode(path: string): number | null | undefined {
  try {
    return Deno.statSync(path).ino;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
