import { join } from "node:path";

/**
 * The folder for what users would miss: `$XDG_DATA_HOME/spectrum`, else `~/.local/share/spectrum`.
 *
 * @throws {Error} when neither XDG_DATA_HOME nor HOME is set
 */
export function dataDir(env: Pick<typeof Deno.env, "get"> = Deno.env): string {
  const base = env.get("XDG_DATA_HOME");
  // The XDG base directory specification: a relative path is to be ignored.
  if (base?.startsWith("/")) return join(base, "spectrum");
  const home = env.get("HOME");
  if (home === undefined || home === "") {
    throw new Error("Cannot tell where the data folder is: set HOME or XDG_DATA_HOME.");
  }
  return join(home, ".local", "share", "spectrum");
}
