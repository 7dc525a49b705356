import { execute } from "../execute.ts";
import { bytesKey, keepFile } from "./kept.ts";

const SOURCES = ["agent.c", "boot.c", "boot.h"];

/** The lab host's process 1, compiled from `agent.c` and `boot.c`, static. */
export async function agentProgram(cacheDir: string): Promise<string> {
  const sources = SOURCES.map((name) => new URL(`../${name}`, import.meta.url).pathname);
  const key = bytesKey(...await Promise.all(sources.map((path) => Deno.readFile(path))));
  return await keepFile(cacheDir, "agent", "bin", key, async (program) => {
    const compiled = sources.filter((path) => path.endsWith(".c"));
    await execute("gcc", ["-static", "-O2", "-s", "-Wall", "-Wextra", "-o", program, ...compiled]);
  });
}
