import { join } from "node:path";

/**
 * The folder for what can be fetched or built again: `$XDG_CACHE_HOME/spectrum`, else `~/.cache/spectrum`.
 *
 * @throws {Error} when neither variable is set
 */
export function cacheDir(env: Pick<typeof Deno.env, "get"> = Deno.env): string {
  const base = env.get("XDG_CACHE_HOME");
  // The XDG base directory specification: a relative path is to be ignored.
  if (base?.startsWith("/")) return join(base, "spectrum");
  const home = env.get("HOME");
  if (home === undefined || home === "") {
    throw new Error("Cannot tell where the cache folder is: set HOME or XDG_CACHE_HOME.");
  }
  return join(home, ".cache", "spectrum");
}
