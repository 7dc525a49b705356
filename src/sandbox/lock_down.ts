import {
  filterCalls,
  forbidInspection,
  ignoreInspectorSignal,
  nameForbiddenCalls,
  resetEndingSignals,
} from "../os/mod.ts";
import { compileFilter, type OtherCalls } from "./call_filter.ts";
import type { CallRule } from "./call_rule.ts";
import { systemCallNames } from "./system_calls.ts";

/** Every permission that the runtime knows. */
export const permissionNames = [
  "run",
  "write",
  "read",
  "net",
  "env",
  "sys",
  "import",
  "ffi",
] as const;

/** One of {@link permissionNames}. */
export type PermissionName = typeof permissionNames[number];

/**
 * The end of a worker's set-up: gives up every permission of the runtime, for all threads of the
 * process and for good (given `--no-prompt`), and keeps others from looking into this process.
 * Functions and buffers that are loaded keep working.
 *
 * Do not await anything for the first time after this: the runtime makes threads and sockets then,
 * which a filter refuses.
 *
 * @param calls the system calls that all threads may still make; any, when there are no rules. With rules SIGHUP, SIGINT and
 *   SIGTERM do what they do by default, listeners for them are heard no more
 * @param others what becomes of the process at any other
 *
 * @example
 * ```ts
 * // A worker: everything is opened before the lock, nothing after it.
 * function work(prepare: () => () => void): void {
 *   const serve = prepare();
 *   lockDown();
 *   serve();
 * }
 * ```
 */
export function lockDown(calls: readonly CallRule[] = [], others: OtherCalls = "kill"): void {
  ignoreInspectorSignal();
  forbidInspection();
  for (const name of permissionNames) revoke(name);
  if (calls.length === 0) return;
  // Behind the first listener for a signal, of ignoreInspectorSignal: with it the runtime installs its handlers.
  resetEndingSignals();
  if (others === "report") nameForbiddenCalls(systemCallNames);
  filterCalls(compileFilter(calls, others));
}

function revoke(name: PermissionName): void {
  // The type of the runtime does not list "import" in every version.
  Deno.permissions.revokeSync({ name } as Deno.PermissionDescriptor);
}

/** The permissions that this process still has. Partial grants count. */
export function permissionsLeft(): PermissionName[] {
  return permissionNames.filter((name) => {
    const status = Deno.permissions.querySync({ name } as Deno.PermissionDescriptor);
    return status.state === "granted" || status.partial;
  });
}
