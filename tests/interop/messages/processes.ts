import assert from "node:assert/strict";
import { type ExitStatus, type Fd, openFile, Reactor } from "../../../src/os/mod.ts";
import { Starter } from "../../../src/sandbox/mod.ts";

/** A process that runs one of the programs in this folder. */
export interface Program {
  readonly exited: Promise<ExitStatus>;
  /** What it printed, when it has ended. */
  readonly output: Promise<string>;
  kill(): void;
}

/** Programs that hold exactly the descriptors that they are given, from 3 on. They end with this object. */
export class Programs implements AsyncDisposable {
  readonly #reactor = new Reactor();
  readonly #starter = Starter.spawn(this.#reactor);

  async start(file: string, words: readonly string[], fds: readonly Fd[]): Promise<Program> {
    const path = new URL(file, import.meta.url).pathname;
    const printed = await Deno.makeTempFile({ prefix: "spectrum-messages-" });
    using stdout = openFile(printed, { write: true });
    const child = await this.#starter.start({
      argv: [Deno.execPath(), "run", "-A", "--no-check", path, ...words],
      env: Deno.env.toObject(),
      descriptors: [{ fd: stdout, as: 1 }, ...fds.map((fd, i) => ({ fd, as: 3 + i }))],
    });
    const output = child.exited.then(async () => {
      const text = await Deno.readTextFile(printed);
      await Deno.remove(printed);
      return text;
    });
    return { exited: child.exited, output, kill: () => child.kill() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#starter.close();
    this.#reactor[Symbol.dispose]();
  }
}

/** What a program printed as JSON; it must have ended well. */
export async function resultOf(program: Program): Promise<Record<string, number | string>> {
  assert.deepEqual(await program.exited, { status: 0 });
  return JSON.parse(await program.output);
}
