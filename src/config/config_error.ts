/**
 * A configuration that cannot be used. The message names file, line and key where they are known, and the fix.
 *
 * @example
 * ```ts
 * import { parseConfig } from "spectrum";
 *
 * try {
 *   await parseConfig("memroy = 1", "app.toml");
 * } catch (error) {
 *   if (!(error instanceof ConfigError)) throw error;
 *   console.log(error.place, error.key, error.reason);
 * }
 * ```
 */
export class ConfigError extends Error {
  override readonly name = "ConfigError";

  /**
   * @param reason what is wrong and what to do
   * @param place where: `file:line`, a file, or `command line`
   * @param key the dotted key path, such as `disk[1].path`
   */
  constructor(readonly reason: string, readonly place?: string, readonly key?: string) {
    super([place, key, reason].filter((part) => part !== undefined && part !== "").join(": "));
  }
}
