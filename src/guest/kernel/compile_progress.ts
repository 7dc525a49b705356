import { join } from "node:path";
import type { Progress } from "../progress.ts";
import { filesToCompile, type Profile } from "./profiles.ts";

/** A line of make's about one file that it compiles. */
const COMPILES = /^ {2}(?:CC|AS|HOSTCC) +\S/;

/** Shows how many files of the kernel are compiled, counting those of a build that was interrupted. */
export class CompileProgress {
  readonly #progress: Progress;
  readonly #step: string;
  readonly #total: number;
  #done: number;

  private constructor(progress: Progress, step: string, total: number, done: number) {
    this.#progress = progress;
    this.#step = step;
    this.#total = total;
    this.#done = done;
    this.#show();
  }

  /** @param output the build's folder, where files of an earlier build may be */
  static async start(
    output: string,
    profile: Profile,
    version: string,
    progress: Progress,
  ): Promise<CompileProgress> {
    const total = filesToCompile[profile];
    const step = `compiling Linux ${version} for profile ${profile}:`;
    // The kernel's tools leave a configuration alone that stays as it was, so that its time is the start of the build.
    const { mtime } = await Deno.stat(join(output, ".config"));
    return new CompileProgress(
      progress,
      step,
      total,
      await countObjects(output, mtime?.getTime() ?? 0),
    );
  }

  /** Takes note of a line that make printed. */
  see(line: string): void {
    if (!COMPILES.test(line)) return;
    this.#done++;
    this.#show();
  }

  #show(): void {
    // The total is what an earlier build came to; this one may be a little larger.
    const total = Math.max(this.#total, this.#done);
    this.#progress(this.#step, this.#done / total, `${this.#done} of ${total} files`);
  }
}

/** The files that are compiled since then: the build writes a note of the command for each. */
async function countObjects(directory: string, since: number): Promise<number> {
  let count = 0;
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const path = join(directory, name);
    if (isDirectory) count += await countObjects(path, since);
    else if (/^\..*\.o\.cmd$/.test(name) && name !== ".built-in.o.cmd") {
      const { mtime } = await Deno.stat(path);
      if ((mtime?.getTime() ?? 0) >= since) count++;
    }
  }
  return count;
}
