import { createHash } from "node:crypto";
import { join } from "node:path";
import { execute } from "../execute.ts";
import { labDir } from "./image.ts";

/** The agent, compiled from `agent.c`, static. */
export async function agentProgram(cacheDir: string): Promise<string> {
  const source = new URL("../agent.c", import.meta.url).pathname;
  const key = createHash("sha256").update(await Deno.readFile(source)).digest("hex").slice(0, 16);
  const path = join(labDir(cacheDir), `agent-${key}.bin`);
  try {
    await Deno.stat(path);
    return path;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  await Deno.mkdir(labDir(cacheDir), { recursive: true });
  const temporary = `${path}.${Deno.pid}`;
  await execute("gcc", ["-static", "-O2", "-s", "-Wall", "-Wextra", "-o", temporary, source]);
  await Deno.rename(temporary, path);
  return path;
}
