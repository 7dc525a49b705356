import { payload } from "./payload.ts";
import { monitorSymbols, workerSymbols } from "./symbols.ts";

/** Which functions of the shim a process loads. */
export type LibraryKind = "worker" | "monitor";

type Worker = Deno.DynamicLibrary<typeof workerSymbols>;
type Monitor = Deno.DynamicLibrary<typeof monitorSymbols>;

let workerLibrary: Worker | undefined;
let monitorLibrary: Monitor | undefined;
let kind: LibraryKind = "monitor";

/**
 * Chooses what this thread loads of the shim; call it before anything else of this room. A process
 * that made its preparations as a monitor may become a worker: the wider set is then let go.
 * The way back is refused.
 */
export function useLibrary(wanted: LibraryKind): void {
  if (wanted === "monitor" && workerLibrary !== undefined && monitorLibrary === undefined) {
    throw new Error("This process has loaded the functions of a worker and gets no others");
  }
  if (wanted === "worker" && workerLibrary === undefined) {
    workerLibrary = Deno.dlopen(payload().shim, workerSymbols);
    monitorLibrary = undefined;
  }
  kind = wanted;
}

/** The functions that every process has. */
export function library(): Worker["symbols"] {
  if (workerLibrary !== undefined) return workerLibrary.symbols;
  return monitorFunctions();
}

/** The functions of a monitor. */
export function monitor(): Monitor["symbols"] {
  if (monitorLibrary !== undefined) return monitorLibrary.symbols;
  return monitorFunctions();
}

function monitorFunctions(): Monitor["symbols"] {
  if (monitorLibrary === undefined) {
    if (kind === "worker") throw new Error("A worker process has no such function");
    monitorLibrary = Deno.dlopen(payload().shim, monitorSymbols);
    workerLibrary = monitorLibrary as unknown as Worker;
  }
  return monitorLibrary.symbols;
}

/** A name as C takes it. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError("A name cannot contain a NUL character");
  return new TextEncoder().encode(`${text}\0`);
}
