import { filterCalls, nameForbiddenCalls } from "../os/mod.ts";
import { compileFilter, type Starter, systemCallNames } from "../sandbox/mod.ts";
import { monitorCalls, vcpuCalls } from "./monitor_calls.ts";

/**
 * Keeps all threads of this process to the system calls of a monitor, for good; what they lack is refused, or named where
 * the starter is to debug policies. The starter, which goes on as before, is guarded.
 *
 * @returns what threads of vCPUs are to keep themselves to, as a filter
 */
export function confineMonitor(starter: Starter): Uint8Array<ArrayBuffer> {
  const others = starter.sandbox === "debug" ? "report" : "refuse";
  starter.guard();
  if (others === "report") nameForbiddenCalls(systemCallNames);
  filterCalls(compileFilter(monitorCalls, others));
  return compileFilter(vcpuCalls, others);
}
