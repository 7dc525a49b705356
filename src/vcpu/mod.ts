/** The vCPU thread: enters the guest, services each exit on the spot, and obeys the control thread. */

export { Outcome, type OutcomeKind } from "./outcome.ts";
export { SpareThreads } from "./spare_threads.ts";
export type { ThreadStart } from "./thread_start.ts";
export { Command, type ExitCounts, ThreadState, VcpuControl } from "./vcpu_control.ts";
export { VcpuThread } from "./vcpu_thread.ts";
