import { join } from "node:path";

/**
 * Our folder in one of the user's base directories, as the XDG base directory specification places them.
 *
 * @param variable names the base directory
 * @param fallback the base directory in the user's home where the variable does not say
 * @param what the folder is, for an error
 */
export function baseDir(
  env: Pick<typeof Deno.env, "get">,
  variable: string,
  fallback: string,
  what: string,
): string {
  const base = env.get(variable);
  // A relative path is to be ignored, says the specification.
  if (base?.startsWith("/")) return join(base, "spectrum");
  const home = env.get("HOME");
  if (home === undefined || home === "") {
    throw new Error(`Cannot tell where the ${what} folder is: set HOME or ${variable}.`);
  }
  return join(home, fallback, "spectrum");
}
