import { join } from "node:path";
import { type Fd, fileStat, openFile, OsError, type Owned, testLock, tryLock } from "../os/mod.ts";
import { MachineError, type RunOutcome } from "./outcome.ts";
import { runtimeBase } from "./runtime_base.ts";

/** An open image's identity: what stays the same whatever path leads to it. */
export interface ImageId {
  readonly dev: number;
  readonly ino: number;
}

/** What a VM says of itself in its runtime directory. */
export interface VmRecord {
  /** Of the monitor. */
  readonly pid: number;
  /** Process of its starter, which connects to other VMs in its place. */
  readonly starter?: number;
  readonly images: readonly ImageId[];
  /** Devices whose backends run in other VMs: names of those VMs. */
  readonly providers?: Readonly<Record<string, string>>;
  /** Devices of other VMs whose backends run in this one, as `VM/DEVICE`. */
  readonly provides?: readonly string[];
  /** ISO 8601. */
  readonly startedAt?: string;
  /** Of a VM that has ended, and whose directory stays. */
  readonly outcome?: RunOutcome;
}

const RECORD = "vm.json";
const LOCK = "lock";
/** Bytes of the longest path of a socket (`sun_path` of unix(7), without its zero), and of the longest name of ours. */
const LONGEST_SOCKET_PATH = 107;
const LONGEST_SOCKET_NAME = "/control.sock".length;
/** How often a name is tried whose directory others remove under us. */
const TRIES = 100;

/**
 * The directory `$XDG_RUNTIME_DIR/spectrum/NAME` of a running VM, mode 0700. Its `lock` is held by an OFD lock
 * as long as the VM runs, so that what a killed monitor left behind is recognised and used again.
 */
export class RuntimeDir implements Disposable {
  readonly path: string;
  readonly #lock: Owned<Fd>;
  #record: VmRecord = { pid: Deno.pid, images: [] };
  #stays = false;

  private constructor(base: string, name: string, lock: Owned<Fd>) {
    this.path = join(base, name);
    this.#lock = lock;
  }

  /**
   * Takes the name for this process. What an earlier VM of the name left is removed.
   *
   * @throws {MachineError} when a VM of that name runs, or the directory cannot be made
   */
  static claim(name: string, base = runtimeBase()): RuntimeDir {
    const path = join(base, name);
    const length = new TextEncoder().encode(path).length;
    const most = LONGEST_SOCKET_PATH - LONGEST_SOCKET_NAME;
    if (length > most) {
      throw new MachineError(
        "usage",
        `The runtime directory ${path} has a path of ${length} bytes, and sockets in it have room for ${most}. ` +
          "Choose a shorter --name, or a shorter XDG_RUNTIME_DIR.",
      );
    }
    for (let tries = 0; tries < TRIES; tries++) {
      const lock = openLock(base, path);
      if (lock === undefined) continue;
      if (!tryLock(lock, "write", 0, 0)) {
        lock[Symbol.dispose]();
        const pid = readRecord(path)?.pid;
        const who = pid === undefined ? "" : ` (process ${pid})`;
        throw new MachineError(
          "usage",
          `A VM named "${name}" runs already${who}. Choose another --name.`,
        );
      }
      // Its last owner may have removed the directory between our opening and our locking.
      if (isLockOf(path, lock)) {
        for (const entry of Deno.readDirSync(path)) {
          if (entry.name !== LOCK) Deno.removeSync(join(path, entry.name), { recursive: true });
        }
        const runtime = new RuntimeDir(base, name, lock);
        runtime.record({});
        return runtime;
      }
      lock[Symbol.dispose]();
    }
    throw new MachineError("host", `${path} is removed again and again by somebody else.`);
  }

  /** Publishes what is known of the VM now, such as which images it has open. */
  record(more: Partial<VmRecord>): void {
    this.#record = { ...this.#record, ...more };
    const temporary = join(this.path, `${RECORD}.new`);
    Deno.writeTextFileSync(temporary, JSON.stringify(this.#record), { mode: 0o600 });
    Deno.renameSync(temporary, join(this.path, RECORD));
  }

  /** Lets the directory stay when it is disposed of, with its record and logs, until the name is claimed again. */
  keep(): void {
    this.#stays = true;
  }

  /** Gives the name back. What is not kept is removed; that it was removed by others already is no error. */
  [Symbol.dispose](): void {
    try {
      // Somebody may have removed it, and the name may have another owner now.
      if (!isLockOf(this.path, this.#lock)) return;
      if (this.#stays) removeSockets(this.path);
      else this.#remove();
    } catch (error) {
      // The lock is given back whatever happens; the next VM of the name cleans up.
      if (
        !(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied)
      ) {
        throw error;
      }
    } finally {
      this.#lock[Symbol.dispose]();
    }
  }

  /** The lock last: whoever takes the name then has a lock of its own there, and keeps the directory. */
  #remove(): void {
    for (const { name } of Deno.readDirSync(this.path)) {
      if (name !== LOCK) Deno.removeSync(join(this.path, name), { recursive: true });
    }
    Deno.removeSync(join(this.path, LOCK));
    removeEmpty(this.path);
  }
}

/** The lock's file, made where it is missing; undefined when the directory vanished meanwhile. */
function openLock(base: string, path: string): Owned<Fd> | undefined {
  try {
    Deno.mkdirSync(base, { recursive: true, mode: 0o700 });
    requirePrivate(base);
    makeDirectory(path);
    const { mode } = requireOwn(path);
    if (((mode ?? 0) & 0o777) !== 0o700) Deno.chmodSync(path, 0o700);
  } catch (error) {
    if (error instanceof MachineError) throw error;
    if (error instanceof Deno.errors.NotFound) return undefined;
    const reason = error instanceof Error ? error.message : String(error);
    throw new MachineError("host", `Cannot make the runtime directory ${path}: ${reason}`);
  }
  try {
    return openFile(join(path, LOCK), { write: true, create: true, noFollow: true, mode: 0o600 });
  } catch (error) {
    if (error instanceof OsError && error.code === "ENOENT") return undefined;
    const reason = error instanceof Error ? error.message : String(error);
    throw new MachineError("host", `Cannot use the runtime directory ${path}: ${reason}`);
  }
}

/** Not recursively, which fails when others remove it at that moment. */
function makeDirectory(path: string): void {
  try {
    Deno.mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

/** What is in the directory is going to be removed: it must be one, and not a link to another, and this user's. */
function requireOwn(path: string): Deno.FileInfo {
  const stat = Deno.lstatSync(path);
  if (stat.isDirectory && stat.uid === Deno.uid()) return stat;
  throw new MachineError("host", `${path} is not a directory of yours. Remove it.`);
}

/** Others could replace what is in it. */
function requirePrivate(base: string): void {
  if (((requireOwn(base).mode ?? 0) & 0o022) === 0) return;
  throw new MachineError("host", `Others may write to ${base}. Mend that: chmod 700 ${base}`);
}

function isLockOf(path: string, lock: Fd): boolean {
  try {
    const { dev, ino } = Deno.lstatSync(join(path, LOCK));
    const held = fileStat(lock);
    return held.dev === dev && held.ino === ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function removeEmpty(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOTEMPTY")) throw error;
  }
}

function removeSockets(path: string): void {
  for (const { name } of Deno.readDirSync(path)) {
    if (Deno.lstatSync(join(path, name)).isSocket) Deno.removeSync(join(path, name));
  }
}

/** Name of the running VM of ours that has an image open, if one has. */
export function holderOf(image: ImageId, base = runtimeBase()): string | undefined {
  for (const entry of listDirectory(base)) {
    const record = readRecord(join(base, entry));
    const same = (other: ImageId) => other.dev === image.dev && other.ino === image.ino;
    if (record?.images.some(same) && isRunning(join(base, entry))) return entry;
  }
}

/** Whether somebody holds the lock of a runtime directory. */
export function isRunning(path: string): boolean {
  try {
    using lock = openFile(join(path, LOCK));
    return !testLock(lock, "write", 0, 0);
  } catch {
    return false;
  }
}

/** What the VM of a runtime directory says of itself, or said; undefined when there is nothing sensible. */
export function readRecord(path: string): VmRecord | undefined {
  try {
    const record: unknown = JSON.parse(Deno.readTextFileSync(join(path, RECORD)));
    return isRecord(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is VmRecord {
  return typeof value === "object" && value !== null && "pid" in value && "images" in value &&
    typeof value.pid === "number" && Array.isArray(value.images);
}

/** Names of the VMs that have a runtime directory, whether they run or not. */
export function listDirectory(path = runtimeBase()): string[] {
  try {
    return [...Deno.readDirSync(path)]
      .filter(({ isDirectory }) => isDirectory)
      .map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
