import type { Policy } from "./policy.ts";

/** The engine's flag by which it makes no code. */
export const INTERPRET_ONLY = "--jitless";

/**
 * The environment of a process that runs our program: no caches (a writable cache of compiled code
 * would be a way into later runs), no look for updates, and errors still shown.
 *
 * @param policy may want an engine that compiles nothing
 */
export function workerEnvironment(policy?: Policy): Record<string, string> {
  return {
    ...(policy !== undefined && makesNoCode(policy) ? { DENO_V8_FLAGS: INTERPRET_ONLY } : {}),
    DENO_DIR: "/dev/null/deno",
    DENO_LOG: "info,deno::cache=off",
    DENO_NO_UPDATE_CHECK: "1",
    NO_COLOR: "1",
  };
}

/** Whether no memory of such a process is ever to be code. */
export function makesNoCode({ measures }: Policy): boolean {
  return measures.some(({ measure }) => measure === "no new code");
}
