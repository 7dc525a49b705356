import { join } from "node:path";
import { nearest } from "../config/mod.ts";
import {
  isRunning,
  listDirectory,
  readRecord,
  type RunOutcome,
  runtimeBase,
} from "../machine/mod.ts";
import { NoSuchVmError } from "./errors.ts";

/**
 * A VM that has a runtime directory: it runs, or it ran detached and its logs are kept.
 *
 * @example
 * ```ts
 * import { Vm } from "spectrum";
 *
 * const running: VmEntry[] = (await Vm.list()).filter(({ running }) => running);
 * console.log(running.map(({ name, pid }) => `${name} ${pid}`));
 * ```
 */
export interface VmEntry {
  readonly name: string;
  readonly running: boolean;
  /** Its runtime directory. */
  readonly dir: string;
  /** Process id of its monitor. */
  readonly pid?: number;
  /** ISO 8601. */
  readonly startedAt?: string;
  /** How it ended, when it could still say so. */
  readonly outcome?: RunOutcome;
}

/** The VMs of this user, by name. */
export function listVms(base = runtimeBase()): VmEntry[] {
  return listDirectory(base).sort().map((name) => entryOf(base, name));
}

/**
 * The VM of a name, whether it runs or has ended.
 *
 * @throws {NoSuchVmError} naming the one that may have been meant
 */
export function findVm(name: string, base = runtimeBase()): VmEntry {
  const names = listDirectory(base);
  if (!names.includes(name)) throw new NoSuchVmError(name, nearest(name, names));
  return entryOf(base, name);
}

/** As {@linkcode findVm}, of a VM that runs. */
export function findRunningVm(name: string, base = runtimeBase()): VmEntry {
  const running = listVms(base).filter((entry) => entry.running);
  const found = running.find((entry) => entry.name === name);
  if (found !== undefined) return found;
  throw new NoSuchVmError(name, nearest(name, running.map((entry) => entry.name)));
}

function entryOf(base: string, name: string): VmEntry {
  const dir = join(base, name);
  const { pid, startedAt, outcome } = readRecord(dir) ?? {};
  return { name, running: isRunning(dir), dir, pid, startedAt, outcome };
}
