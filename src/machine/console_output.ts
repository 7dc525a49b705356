import type { ConsoleConfig } from "../config/mod.ts";
import { MachineError } from "./outcome.ts";

/** Where console output goes. Writing waits for a slow reader: the guest's transmitter is then busy. */
export interface ConsoleOutput extends Disposable {
  write(bytes: Uint8Array): Promise<void>;
}

/** Output that nobody wants to see. */
export const nowhere: ConsoleOutput = { write: () => Promise.resolve(), [Symbol.dispose]() {} };

/**
 * Opens the output of a console. A reader that goes away (a closed pipe, a full disk) is told to `onLost` once; the
 * guest goes on and what it prints is dropped.
 *
 * @throws {MachineError} when its file cannot be opened
 */
export function openConsoleOutput(
  to: ConsoleConfig["to"],
  onLost: (reason: string) => void,
): ConsoleOutput {
  if (to === "none") return nowhere;
  if (to === "stdio") return new StreamOutput(Deno.stdout, onLost);
  try {
    return new StreamOutput(Deno.openSync(to, { write: true, create: true, append: true }), onLost);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new MachineError("usage", `Cannot open the console's file ${to}: ${reason}`);
  }
}

class StreamOutput implements ConsoleOutput {
  readonly #to: { write(bytes: Uint8Array): Promise<number>; close?(): void };
  readonly #onLost: (reason: string) => void;
  #lost = false;

  constructor(
    to: { write(bytes: Uint8Array): Promise<number>; close?(): void },
    onLost: (reason: string) => void,
  ) {
    this.#to = to;
    this.#onLost = onLost;
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < bytes.length && !this.#lost;) {
        done += await this.#to.write(bytes.subarray(done));
      }
    } catch (error) {
      this.#lost = true;
      this.#onLost(error instanceof Error ? error.message : String(error));
    }
  }

  [Symbol.dispose](): void {
    // Standard output is not ours to close.
    if (this.#to !== Deno.stdout) this.#to.close?.();
  }
}
