import { join } from "node:path";
import { type Fd, openFile, type Owned, testLock, tryLock } from "../os/mod.ts";
import { MachineError } from "./outcome.ts";

/** An open image's identity: what stays the same whatever path leads to it. */
export interface ImageId {
  readonly dev: number;
  readonly ino: number;
}

/** What a running VM says of itself in its runtime directory. */
interface VmRecord {
  readonly pid: number;
  readonly images: readonly ImageId[];
}

const RECORD = "vm.json";
const LOCK = "lock";

/**
 * The directory `$XDG_RUNTIME_DIR/spectrum/NAME` of a running VM, mode 0700. Its `lock` is held by an OFD lock
 * as long as the VM runs, so that what a killed monitor left behind is recognised and used again.
 */
export class RuntimeDir implements Disposable {
  readonly path: string;
  readonly #lock: Owned<Fd>;

  private constructor(path: string, lock: Owned<Fd>) {
    this.path = path;
    this.#lock = lock;
  }

  /**
   * Takes the name for this process.
   *
   * @throws {MachineError} when a VM of that name runs
   */
  static claim(name: string, base = runtimeBase()): RuntimeDir {
    const path = join(base, name);
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    const lock = openFile(join(path, LOCK), { write: true, create: true, mode: 0o600 });
    if (!tryLock(lock, "write", 0, 0)) {
      lock[Symbol.dispose]();
      const pid = readRecord(path)?.pid;
      const who = pid === undefined ? "" : ` (process ${pid})`;
      throw new MachineError(
        "usage",
        `A VM named "${name}" runs already${who}. Choose another --name.`,
      );
    }
    return new RuntimeDir(path, lock);
  }

  /** Publishes which images this VM has open. */
  record(images: readonly ImageId[]): void {
    const record: VmRecord = { pid: Deno.pid, images };
    const temporary = join(this.path, `${RECORD}.new`);
    Deno.writeTextFileSync(temporary, JSON.stringify(record), { mode: 0o600 });
    Deno.renameSync(temporary, join(this.path, RECORD));
  }

  /** Removes the directory and gives the name back. */
  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
    this.#lock[Symbol.dispose]();
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
function isRunning(path: string): boolean {
  try {
    using lock = openFile(join(path, LOCK), { write: true });
    return !testLock(lock, "write", 0, 0);
  } catch {
    return false;
  }
}

function readRecord(path: string): VmRecord | undefined {
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

function listDirectory(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].filter((entry) => entry.isDirectory).map((entry) =>
      entry.name
    );
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/**
 * Where runtime directories live: `$XDG_RUNTIME_DIR/spectrum`, else `/run/spectrum-UID` where that can be made, else
 * a private folder in `/tmp`.
 *
 * @throws {MachineError} when the folder in /tmp belongs to somebody else
 */
export function runtimeBase(): string {
  const xdg = Deno.env.get("XDG_RUNTIME_DIR");
  if (xdg !== undefined && xdg !== "") return join(xdg, "spectrum");
  const uid = Deno.uid() ?? 0;
  for (const parent of ["/run", "/tmp"]) {
    const path = join(parent, `spectrum-${uid}`);
    try {
      Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    } catch (error) {
      if (error instanceof Deno.errors.PermissionDenied && parent === "/run") continue;
      throw error;
    }
    const stat = Deno.lstatSync(path);
    if (stat.isDirectory && stat.uid === uid && ((stat.mode ?? 0) & 0o077) === 0) return path;
    if (parent === "/tmp") {
      throw new MachineError(
        "host",
        `${path} is not a private directory of yours. Remove it, or set XDG_RUNTIME_DIR.`,
      );
    }
  }
  throw new MachineError("host", "there is no place for runtime files; set XDG_RUNTIME_DIR");
}
