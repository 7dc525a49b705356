import { join } from "node:path";
import type { Progress } from "../progress.ts";
import { kernelBuildDir } from "./kernel_source.ts";

/** Makes the folder of kernel builds this process's own, waiting for others; until what is returned is disposed of. */
export async function lockBuilds(cacheDir: string, progress: Progress): Promise<Disposable> {
  await Deno.mkdir(kernelBuildDir(cacheDir), { recursive: true });
  const lock = await Deno.open(join(kernelBuildDir(cacheDir), "lock"), {
    create: true,
    write: true,
  });
  if (!await lock.tryLock(true)) {
    progress("waiting for another process that builds a kernel");
    await lock.lock(true);
  }
  return lock;
}
