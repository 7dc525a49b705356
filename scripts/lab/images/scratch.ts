import { join } from "node:path";
import { execute } from "../execute.ts";
import { labDir, removeIfPresent } from "./kept.ts";

/** A fresh ext4 for /scratch, nearly all holes. The caller removes it as soon as QEMU has it open. */
export async function makeScratch(cacheDir: string, gib: number): Promise<string> {
  const directory = labDir(cacheDir);
  await Deno.mkdir(directory, { recursive: true });
  await removeAbandoned(directory);
  const path = await Deno.makeTempFile({ dir: directory, prefix: `scratch-${Deno.pid}-` });
  await execute("mke2fs", [
    ...["-q", "-F", "-t", "ext4", "-m", "0", "-L", "scratch", "-O", "^has_journal"],
    ...["-E", "lazy_itable_init=1,nodiscard", path, `${gib}G`],
  ]);
  return path;
}

/** Removes those of processes that died before they could. */
async function removeAbandoned(directory: string): Promise<void> {
  for await (const { name } of Deno.readDir(directory)) {
    const pid = /^scratch-(\d+)-/.exec(name)?.[1];
    if (pid === undefined) continue;
    try {
      await Deno.stat(`/proc/${pid}`);
    } catch {
      await removeIfPresent(join(directory, name));
    }
  }
}
