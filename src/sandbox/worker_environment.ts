/**
 * The environment of a process that runs our program: no caches (a writable cache of compiled code
 * would be a way into later runs), no look for updates, and errors still shown.
 */
export function workerEnvironment(): Record<string, string> {
  return {
    DENO_DIR: "/dev/null/deno",
    DENO_LOG: "info,deno::cache=off",
    DENO_NO_UPDATE_CHECK: "1",
    NO_COLOR: "1",
  };
}
