import { connectUnix, OsError } from "../os/mod.ts";

/** Removes a socket that a killed process left behind; one that somebody listens at, and anything else, stays. */
export function removeStaleSocket(path: string): void {
  try {
    using _listener = connectUnix(path);
  } catch (error) {
    if (error instanceof OsError && error.code === "ECONNREFUSED") Deno.removeSync(path);
  }
}
