import { filterCalls, nameForbiddenCalls, type PathRule, restrictPaths } from "../os/mod.ts";
import { compileFilter, type SandboxMode, systemCallNames } from "../sandbox/mod.ts";
import { monitorCalls, vcpuCalls } from "./monitor_calls.ts";

/**
 * Keeps all threads of this process to the files and the system calls of a monitor, for good; what they lack is refused,
 * or named where the sandbox is to debug policies and it is a call.
 *
 * @returns what threads of vCPUs are to keep themselves to, as a filter
 */
export function confineMonitor(
  sandbox: SandboxMode,
  files: readonly PathRule[],
): Uint8Array<ArrayBuffer> {
  const others = sandbox === "debug" ? "report" : "refuse";
  if (sandbox !== "reduced") restrictPaths(files);
  if (others === "report") nameForbiddenCalls(systemCallNames);
  filterCalls(compileFilter(monitorCalls, others));
  return compileFilter(vcpuCalls, others);
}
