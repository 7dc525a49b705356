import type { ConsoleConfig } from "../config/mod.ts";
import { MachineError } from "./outcome.ts";

/** Where console output goes. Writing waits for a slow reader: the guest's transmitter is then busy. */
export interface ConsoleOutput extends Disposable {
  write(bytes: Uint8Array): Promise<void>;
}

/** Output that nobody wants to see. */
export const nowhere: ConsoleOutput = { write: () => Promise.resolve(), [Symbol.dispose]() {} };

/**
 * Opens the output of a console.
 *
 * @throws {MachineError} when its file cannot be opened
 */
export function openConsoleOutput(to: ConsoleConfig["to"]): ConsoleOutput {
  if (to === "none") return nowhere;
  if (to === "stdio") {
    return { write: (bytes) => writeAll(Deno.stdout, bytes), [Symbol.dispose]() {} };
  }
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(to, { write: true, create: true, append: true });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new MachineError("usage", `Cannot open the console's file ${to}: ${reason}`);
  }
  return { write: (bytes) => writeAll(file, bytes), [Symbol.dispose]: () => file.close() };
}

async function writeAll(
  to: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await to.write(bytes.subarray(done));
}
