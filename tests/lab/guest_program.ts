import type { CpioEntry } from "../../src/guest/mod.ts";
import { execute } from "../../scripts/lab/mod.ts";

/** A program for the guest of tests, in its `/bin`, from a file in C beside the caller. */
export async function guestProgram(name: string, source: URL): Promise<CpioEntry> {
  const program = await Deno.makeTempFile();
  try {
    const flags = ["-static", "-pthread", "-O2", "-s", "-Wall", "-Wextra"];
    await execute("gcc", [...flags, "-o", program, source.pathname]);
    const data = await Deno.readFile(program);
    return { kind: "file", path: `bin/${name}`, data, mode: 0o755 };
  } finally {
    await Deno.remove(program);
  }
}
