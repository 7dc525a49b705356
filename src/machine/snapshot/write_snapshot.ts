import { resolve } from "node:path";
import type { VmConfig } from "../../config/mod.ts";
import type { MachineMemory } from "../../memory/mod.ts";
import { check, type Fd, fdatasync, OsError, savePages, truncate, writeAll } from "../../os/mod.ts";
import type { NewSnapshot, StarterPaths } from "../../sandbox/mod.ts";
import type { BootPlan } from "../boot_plan.ts";
import type { MachineState } from "../machine_state.ts";
import { MachineError } from "../outcome.ts";
import { FORMAT, type Manifest, toJson, VERSION } from "./format.ts";
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
 * @param paths makes the folder and its files
 * @throws {MachineError} when there is such a folder, or it cannot be written
 */
export async function writeSnapshot(
  dir: string,
  machine: MachineAtRest,
  paths: StarterPaths,
): Promise<void> {
  try {
    using files = paths.newSnapshot(resolve(dir), machine.memory.regions.length);
    await writeFiles(files, machine);
    files.complete();
  } catch (error) {
    if (error instanceof OsError && error.code === "EEXIST") {
      throw new MachineError("usage", `${dir} exists already. Name a new folder.`);
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new MachineError("host", `Cannot write the snapshot ${dir}: ${reason}`);
  }
}

async function writeFiles(files: NewSnapshot, machine: MachineAtRest): Promise<void> {
  const { config, plan, memory, state } = machine;
  const json = toJson(state);
  for (const [i, region] of memory.regions.entries()) {
    const file = files.regions[i];
    truncate(file, region.size);
    await inPieces(
      region.size,
      (start, end) => savePages(file, region.fd, region.windowOffset, start, end),
    );
    sync(file);
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
  writeText(files.state, json);
  writeText(files.manifest, `${JSON.stringify(manifest, undefined, 2)}\n`);
}

function writeText(file: Fd, text: string): void {
  writeAll(file, new TextEncoder().encode(text));
  sync(file);
}

function sync(file: Fd): void {
  check(fdatasync(file), "write", "a file");
}

/** In hexadecimal. */
export async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex();
}
