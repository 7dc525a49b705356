import { baseDir } from "./base_dir.ts";

/**
 * The folder for what can be fetched or built again: `$XDG_CACHE_HOME/spectrum`, else `~/.cache/spectrum`.
 *
 * @throws {Error} when neither variable is set
 */
export function cacheDir(env: Pick<typeof Deno.env, "get"> = Deno.env): string {
  return baseDir(env, "XDG_CACHE_HOME", ".cache", "cache");
}
