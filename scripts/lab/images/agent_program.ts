import { createHash } from "node:crypto";
import { join } from "node:path";
import { execute } from "../execute.ts";
import { labDir } from "./image.ts";

const SOURCES = ["agent.c", "boot.c", "boot.h"];

/** The lab host's process 1, compiled from `agent.c` and `boot.c`, static. */
export async function agentProgram(cacheDir: string): Promise<string> {
  const sources = SOURCES.map((name) => new URL(`../${name}`, import.meta.url).pathname);
  const hash = createHash("sha256");
  for (const source of sources) hash.update(await Deno.readFile(source));
  const key = hash.digest("hex").slice(0, 16);
  const path = join(labDir(cacheDir), `agent-${key}.bin`);
  try {
    await Deno.stat(path);
    return path;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  await Deno.mkdir(labDir(cacheDir), { recursive: true });
  const temporary = `${path}.${Deno.pid}`;
  await execute("gcc", [
    "-static",
    "-O2",
    "-s",
    "-Wall",
    "-Wextra",
    "-o",
    temporary,
    ...sources.filter((name) => name.endsWith(".c")),
  ]);
  await Deno.rename(temporary, path);
  return path;
}
