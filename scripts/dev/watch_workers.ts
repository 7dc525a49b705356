import { BuildError } from "../build/mod.ts";

/** Who saves several files at once is waited for, in milliseconds. */
const QUIET = 150;

/** What a watch over the workers' source has to do with. */
export interface WorkerWatch {
  /** Something for each change of a source; its end is the end of the watch. */
  readonly changes: AsyncIterable<unknown>;
  /** Builds what is stale, and gives the workers' bundle. @throws {BuildError} */
  rebuild(): Promise<Uint8Array>;
  /** Has all workers that run replaced by those of a bundle; tells how it went. */
  restart(bundle: Uint8Array): Promise<void>;
  /** Shows a line. */
  report(line: string): void;
}

/**
 * Replaces the workers of a VM whenever a change of their source makes other workers of them; its guest goes on. What does
 * not build is shown, and the workers stay.
 */
export async function watchWorkers(watch: WorkerWatch): Promise<void> {
  const { changes, rebuild, restart, report } = watch;
  let current = await rebuild();
  const bell = new Bell(changes);
  while (await bell.rung()) {
    try {
      const bundle = await rebuild();
      if (sameBytes(bundle, current)) {
        report("that changes no worker; the monitor is what it was when it started");
        continue;
      }
      await restart(bundle);
      current = bundle;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      report(error.message);
      if (error instanceof BuildError) report("the workers stay as they are");
    }
  }
}

/** Rings once for all that happened while nobody listened. */
class Bell {
  #pending = false;
  #over = false;
  #wake = () => {};

  constructor(changes: AsyncIterable<unknown>) {
    void this.#listen(changes);
  }

  /** Waits for a change and for the quiet after it. False when there will be none. */
  async rung(): Promise<boolean> {
    while (!this.#pending && !this.#over) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    while (this.#pending) {
      this.#pending = false;
      await new Promise((resolve) => setTimeout(resolve, QUIET));
    }
    return !this.#over;
  }

  async #listen(changes: AsyncIterable<unknown>): Promise<void> {
    for await (const _change of changes) {
      this.#pending = true;
      this.#wake();
    }
    this.#over = true;
    this.#wake();
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
