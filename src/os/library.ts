import { payload } from "./payload.ts";
import { monitorSymbols, workerSymbols } from "./symbols.ts";

/** Which functions of the shim a process loads. */
export type LibraryKind = "worker" | "monitor";

type Worker = Deno.DynamicLibrary<typeof workerSymbols>;
type Monitor = Deno.DynamicLibrary<typeof monitorSymbols>;

let common: Worker["symbols"] | undefined;
let full: Monitor["symbols"] | undefined;
let kind: LibraryKind = "monitor";

/**
 * Chooses what this thread loads of the shim; without a word it is the monitor's set. A process that
 * made its preparations as a monitor may become a worker: the wider set is then let go. The way
 * back is refused.
 *
 * @example
 * ```ts
 * // First thing in a program that serves a device: it loads nothing that opens files or connections.
 * useLibrary("worker");
 * ```
 */
export function useLibrary(wanted: LibraryKind): void {
  if (wanted === kind) return;
  if (wanted === "monitor") {
    throw new Error("This process has loaded the functions of a worker and gets no others");
  }
  common = Deno.dlopen(payload().shim, workerSymbols).symbols;
  full = undefined;
  kind = wanted;
}

/** The functions that every process has. */
export function library(): Worker["symbols"] {
  return common ?? monitor();
}

/** The functions of a monitor. */
export function monitor(): Monitor["symbols"] {
  if (full !== undefined) return full;
  if (kind === "worker") throw new Error("A worker process has no such function");
  full = loadedAtFirstUse();
  common = full;
  return full;
}

/**
 * The monitor's functions, each loaded when it is first called: the runtime takes a quarter of a millisecond for each,
 * in every thread, and no thread needs more than a few. A worker has no choice, as nothing can be loaded after its lock.
 */
function loadedAtFirstUse(): Monitor["symbols"] {
  const { shim } = payload();
  const functions = {};
  for (const [name, definition] of Object.entries(monitorSymbols)) {
    Object.defineProperty(functions, name, {
      configurable: true,
      get() {
        const value = Deno.dlopen(shim, { [name]: definition }).symbols[name];
        Object.defineProperty(functions, name, { value });
        return value;
      },
    });
  }
  return functions as Monitor["symbols"];
}

/** A name as C takes it. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError("A name cannot contain a NUL character");
  return new TextEncoder().encode(`${text}\0`);
}
