import type { CpioEntry } from "../../src/guest/mod.ts";
import { execute } from "../../scripts/lab/mod.ts";
import { buildAttempts } from "../interop/escape/build_attempts.ts";

/** Where {@link attemptsLibrary} is in the guest. */
export const ATTEMPTS = "/lib/attempts.so";

/** A program for the guest of tests, in its `/bin`, from a file in C beside the caller. */
export async function guestProgram(name: string, source: URL): Promise<CpioEntry> {
  const flags = ["-static", "-pthread", "-O2", "-s", "-Wall", "-Wextra"];
  const data = await made((file) => execute("gcc", [...flags, "-o", file, source.pathname]));
  return { kind: "file", path: `bin/${name}`, data, mode: 0o755 };
}

/** What hostile code tries in a device's place, for a guest whose devices are jailed. */
export async function attemptsLibrary(): Promise<CpioEntry> {
  return { kind: "file", path: ATTEMPTS.slice(1), data: await made(buildAttempts) };
}

async function made(make: (file: string) => Promise<unknown>): Promise<Uint8Array<ArrayBuffer>> {
  const file = await Deno.makeTempFile();
  try {
    await make(file);
    return await Deno.readFile(file);
  } finally {
    await Deno.remove(file);
  }
}
