import { join } from "node:path";
import * as v from "valibot";
import type { VmConfig } from "../../config/mod.ts";
import { MachineMemory } from "../../memory/mod.ts";
import {
  check,
  Errno,
  type Fd,
  fileStat,
  fillPages,
  openFile,
  OsError,
  type Owned,
  read,
  type Window,
} from "../../os/mod.ts";
import type { MachineState } from "../machine_state.ts";
import { MachineError } from "../outcome.ts";
import { FORMAT, MANIFEST, Manifest, STATE, State, VERSION } from "./format.ts";
import { inPieces } from "./in_pieces.ts";
import { sha256 } from "./write_snapshot.ts";

/** Far above what either file has; more would only fill our memory. */
const MOST_TEXT = 2 ** 26;

/**
 * Reads a machine's state, without its memory.
 *
 * @throws {MachineError} when it is damaged or does not go with the configuration
 */
export async function readState(dir: string, config: VmConfig): Promise<MachineState> {
  const { stateSha256 } = readManifest(dir);
  const json = readText(dir, STATE);
  if (await sha256(json) !== stateSha256) {
    throw damaged(dir, `${STATE} is not what was written`);
  }
  const state = parse(dir, STATE, State, json);
  const { vcpus, cpuid, clocks } = state;
  const counts = [vcpus.length, cpuid.length, clocks.tsc.length];
  if (clocks.tscOffsets !== undefined) counts.push(clocks.tscOffsets.length);
  if (counts.some((count) => count !== config.cpus)) {
    throw new MachineError(
      "usage",
      `The snapshot ${dir} is of ${vcpus.length} vCPUs, the VM is to have ${config.cpus}.`,
    );
  }
  return state;
}

/**
 * Makes memory as it was saved: new memory, since its backends share it; what was never touched is not read.
 *
 * @throws {MachineError} when a file is missing or has another size
 */
export async function readMemory(
  dir: string,
  config: VmConfig,
  window: Window,
): Promise<MachineMemory> {
  const saved = readManifest(dir).memory;
  using undo = new DisposableStack();
  const memory = undo.use(MachineMemory.create(window, config.memory));
  const same = saved.length === memory.regions.length &&
    memory.regions.every(({ guestAddress, size }, i) =>
      saved[i].guestAddress === guestAddress && saved[i].size === size
    );
  if (!same) {
    const bytes = saved.reduce((sum, { size }) => sum + size, 0);
    throw new MachineError(
      "usage",
      `The snapshot ${dir} is of ${bytes} bytes of memory, the VM is to have ${config.memory}.`,
    );
  }
  for (const [i, { size, fd }] of memory.regions.entries()) {
    using file = openRegular(dir, `ram${i}`);
    if (fileStat(file).size !== size) {
      throw damaged(dir, `ram${i} has ${fileStat(file).size} bytes and not ${size}`);
    }
    try {
      await inPieces(size, (start, end) => fillPages(fd, file, start, end));
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      throw damaged(dir, `ram${i} cannot be read: ${error.message}`);
    }
  }
  undo.move();
  return memory;
}

/**
 * Reads what a snapshot says of itself.
 *
 * @throws {MachineError} when it is none, or of another version
 */
export function readManifest(dir: string): Manifest {
  const json = readText(dir, MANIFEST);
  let head: unknown;
  try {
    head = JSON.parse(json);
  } catch {
    throw damaged(dir, `${MANIFEST} is not JSON`);
  }
  if (typeof head !== "object" || head === null || !("format" in head) || head.format !== FORMAT) {
    throw new MachineError("usage", `${dir} is not a snapshot: its ${MANIFEST} does not say so.`);
  }
  const version = "version" in head ? head.version : undefined;
  if (version !== VERSION) {
    throw new MachineError(
      "usage",
      `The snapshot ${dir} has layout ${
        typeof version === "number" ? version : "?"
      }; this program reads ${VERSION}. ` +
        "Restore it with the program that wrote it.",
    );
  }
  return parse(dir, MANIFEST, Manifest, json);
}

function parse<S extends v.GenericSchema>(
  dir: string,
  name: string,
  schema: S,
  json: string,
): v.InferOutput<S> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw damaged(dir, `${name} is not JSON`);
  }
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw damaged(
    dir,
    `${excerpt(v.getDotPath(issue) ?? "all")} of ${name}: ${excerpt(issue.message)}`,
  );
}

function readText(dir: string, name: string): string {
  using file = openRegular(dir, name);
  const { size } = fileStat(file);
  if (size > MOST_TEXT) throw damaged(dir, `${name} has ${size} bytes`);
  // From the descriptor, and no more than that: another file may have the name by now, and this one may grow.
  const bytes = new Uint8Array(size);
  let at = 0;
  for (let count; at < size && (count = read(file, bytes.subarray(at))) !== 0;) {
    at += count === -Errno.EINTR ? 0 : check(count, "read", join(dir, name));
  }
  return new TextDecoder().decode(bytes.subarray(0, at));
}

/** Neither a pipe, which could wait for ever, nor what a link leads to. */
function openRegular(dir: string, name: string): Owned<Fd> {
  const path = join(dir, name);
  try {
    using undo = new DisposableStack();
    const file = undo.use(openFile(path, { noFollow: true, nonBlocking: true }));
    if (!fileStat(file).isRegular) throw damaged(dir, `${name} is no file`);
    undo.move();
    return file;
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    if (error.code === "ENOENT") {
      throw new MachineError("usage", `${dir} is not a whole snapshot: there is no ${name} in it.`);
    }
    throw new MachineError("usage", `Cannot read the snapshot ${dir}: ${error.message}`);
  }
}

/** What stands in a file may be long, and may command a terminal. */
function excerpt(text: string): string {
  return text.slice(0, 120).replace(/\p{Cc}/gu, "?");
}

function damaged(dir: string, what: string): MachineError {
  return new MachineError("usage", `The snapshot ${dir} is damaged: ${what}.`);
}
