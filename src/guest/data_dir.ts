import { baseDir } from "./base_dir.ts";

/**
 * The folder for what users would miss: `$XDG_DATA_HOME/spectrum`, else `~/.local/share/spectrum`.
 *
 * @throws {Error} when neither XDG_DATA_HOME nor HOME is set
 */
export function dataDir(env: Pick<typeof Deno.env, "get"> = Deno.env): string {
  return baseDir(env, "XDG_DATA_HOME", ".local/share", "data");
}
