import { join } from "node:path";
import { bundled } from "../../../scripts/build/mod.ts";
import { selfContained } from "../../../scripts/compile/self_contained.ts";
import { buildAttempts } from "./build_attempts.ts";

const here = (name: string) => new URL(name, import.meta.url).pathname;

/** Builds what is hostile, into a folder that everybody may read. */
export async function buildHostile(folder: string) {
  await Deno.chmod(folder, 0o755);
  const parts = {
    bundle: join(folder, "hostile.js"),
    library: join(folder, "attempts.so"),
    victim: join(folder, "victim"),
    executable: join(folder, "hostile"),
  };
  const device = await bundled("hostile", here("hostile_device.ts"));
  await Deno.writeTextFile(parts.bundle, device);
  const spectrum = await bundled("attempts", here("run_attempts.ts"));
  await Deno.writeFile(
    parts.executable,
    await selfContained(Deno.execPath(), { spectrum, device }),
    { mode: 0o755 },
  );
  await Deno.writeTextFile(parts.victim, "x".repeat(4096));
  await Deno.chmod(parts.victim, 0o644);
  await buildAttempts(parts.library);
  return parts;
}
