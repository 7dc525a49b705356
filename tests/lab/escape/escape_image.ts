import { join } from "node:path";
import { banner } from "../../../scripts/build/banner.ts";
import { bundled } from "../../../scripts/build/mod.ts";
import { root } from "../../../scripts/root.ts";
import { deviceImage } from "../../../src/guest/mod.ts";
import { monitorFlags, payload } from "../../../src/os/mod.ts";
import { buildAttempts } from "../../interop/escape/build_attempts.ts";
import { type Column, columns } from "../../interop/escape/columns.ts";

/** By hand: each part of the jail, too, as natively. */
export const ALL = Deno.env.get("SPECTRUM_ESCAPES") === "all";
const COLUMNS: readonly Column[] = ALL ? columns : ["all"];

/**
 * The image that a device VM boots, where the runtime's libraries are files as anywhere, with two scripts of ours in the
 * places of those that serve: what starts devices, and the hostile code that it starts.
 *
 * @returns its path, below a folder of the cache
 */
export async function escapeImage(cacheDir: string): Promise<string> {
  const folder = join(cacheDir, "lab", "escape");
  await Deno.mkdir(folder, { recursive: true });
  const place = (name: string) => join(folder, name);
  const bundle = (name: string, path: string) => bundled(name, join(root, "tests", path));

  const real = payload();
  await Deno.copyFile(real.shim, place("libspectrum.so"));
  await Deno.copyFile(real.starter, place("starter"));
  const device = await bundle("hostile device", "interop/escape/hostile_device.ts");
  await Deno.writeTextFile(place("device.js"), device);
  await buildAttempts(place("attempts.so"));
  const library = (await Deno.readFile(place("attempts.so"))).toBase64();
  const given = `globalThis.attempts = ${JSON.stringify({ library, columns: COLUMNS })};\n`;
  const serve = await bundle("attempts", "lab/escape/serve_attempts.ts");
  await Deno.writeTextFile(place("serve.js"), banner() + given + serve);
  return await deviceImage(folder, {
    ...real,
    shim: place("libspectrum.so"),
    serve: [Deno.execPath(), "run", ...monitorFlags, place("serve.js")],
  });
}
