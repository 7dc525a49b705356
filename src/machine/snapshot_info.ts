import type { VmConfig, VmInput } from "../config/mod.ts";
import type { BootPlan } from "./boot_plan.ts";

/** What a snapshot is of. */
export interface SnapshotInfo {
  /** The VM's configuration when it was saved, with the caller's changes. */
  readonly config: VmConfig;
  /** What it had booted. */
  readonly plan: BootPlan;
  /** ISO 8601 */
  readonly created: string;
}

/**
 * Reads what a snapshot is of, for {@linkcode RunningVm.start} with `restore`.
 *
 * @param changes keys of the configuration to replace, such as the name or the disks
 * @throws {MachineError} when it is none, or of another version
 * @throws {ConfigError} when the configuration in it is none
 */
export async function readSnapshotInfo(
  dir: string,
  changes: Partial<VmInput> = {},
): Promise<SnapshotInfo> {
  // Most runs restore nothing.
  const { readManifest } = await import("./snapshot/read_snapshot.ts");
  const { parseConfig } = await import("../config/mod.ts");
  const { config, kernel, cmdline, disks, created } = readManifest(dir);
  return {
    config: await parseConfig("", `${dir}/snapshot.json`, { ...config, ...changes }),
    plan: { kernel, cmdline, disks },
    created,
  };
}
