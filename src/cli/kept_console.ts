import type { ConsoleViewer } from "../machine/mod.ts";

/** Runtime directories lie in memory, and a guest may print for ever. */
const LIMIT = 4 * 2 ** 20;

/** A console that is kept in a file: the last 4 to 8 MiB of it, the older half under the name with `.1`. */
export class KeptConsole implements ConsoleViewer, Disposable {
  readonly #path: string;
  readonly #limit: number;
  #file: Deno.FsFile;
  #size = 0;

  constructor(path: string, limit = LIMIT) {
    this.#path = path;
    this.#limit = limit;
    this.#file = create(path);
  }

  // deno-lint-ignore require-await
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#size + bytes.length > this.#limit) {
      this.#file.close();
      Deno.renameSync(this.#path, `${this.#path}.1`);
      this.#file = create(this.#path);
      this.#size = 0;
    }
    for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
    this.#size += bytes.length;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function create(path: string): Deno.FsFile {
  return Deno.openSync(path, { write: true, create: true, truncate: true, mode: 0o600 });
}
