import { basename, dirname, join, resolve } from "node:path";
import type { VmConfig } from "../../config/mod.ts";
import type { MachineMemory } from "../../memory/mod.ts";
import { fdatasync, openFile, savePages, truncate } from "../../os/mod.ts";
import type { BootPlan } from "../boot_plan.ts";
import type { MachineState } from "../machine_state.ts";
import { MachineError } from "../outcome.ts";
import { FORMAT, MANIFEST, type Manifest, STATE, toJson, VERSION } from "./format.ts";
import { inPieces } from "./in_pieces.ts";

/** A machine at rest: no vCPU runs, and no backend works. */
export interface MachineAtRest {
  readonly config: VmConfig;
  readonly plan: BootPlan;
  readonly memory: MachineMemory;
  readonly state: MachineState;
}

/**
 * Writes a snapshot into a new folder, which only the user may read: the guest's secrets are in it. The folder appears
 * under its name when all of it is on the disk.
 *
 * @throws {MachineError} when there is such a folder, or it cannot be written
 */
export async function writeSnapshot(dir: string, machine: MachineAtRest): Promise<void> {
  const path = resolve(dir);
  if (wouldReplace(path, dir)) {
    throw new MachineError("usage", `${dir} exists already. Name a new folder.`);
  }
  const partial = join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}`);
  try {
    Deno.mkdirSync(partial, { mode: 0o700 });
    await writeFiles(partial, machine);
    Deno.renameSync(partial, path);
  } catch (error) {
    if (exists(partial)) Deno.removeSync(partial, { recursive: true });
    throw unwritable(dir, error);
  }
}

function wouldReplace(path: string, dir: string): boolean {
  try {
    return exists(path);
  } catch (error) {
    throw unwritable(dir, error);
  }
}

function unwritable(dir: string, error: unknown): MachineError {
  const reason = error instanceof Error ? error.message : String(error);
  return new MachineError("host", `Cannot write the snapshot ${dir}: ${reason}`);
}

async function writeFiles(dir: string, machine: MachineAtRest): Promise<void> {
  const { config, plan, memory, state } = machine;
  const json = toJson(state);
  for (const [i, region] of memory.regions.entries()) {
    using file = openFile(join(dir, `ram${i}`), NEW);
    truncate(file, region.size);
    await inPieces(
      region.size,
      (start, end) => savePages(file, region.fd, region.windowOffset, start, end),
    );
    fdatasync(file);
  }
  const manifest: Manifest = {
    format: FORMAT,
    version: VERSION,
    created: new Date().toISOString(),
    config,
    kernel: plan.kernel,
    cmdline: plan.cmdline,
    disks: plan.disks?.map(({ serial, path, readonly }) => ({ serial, path, readonly })),
    memory: memory.regions.map(({ guestAddress, size }) => ({ guestAddress, size })),
    stateSha256: await sha256(json),
  };
  writeText(join(dir, STATE), json);
  writeText(join(dir, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

const NEW = { write: true, create: true, exclusive: true, mode: 0o600 } as const;

function writeText(path: string, text: string): void {
  using file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
  const bytes = new TextEncoder().encode(text);
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
  file.syncDataSync();
}

/** In hexadecimal. */
export async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex();
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
