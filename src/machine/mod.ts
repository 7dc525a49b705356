/** From a VM's configuration to a running machine: assembly, worker supervision, lifecycle. */

export type { BootPlan, SystemDisk } from "./boot_plan.ts";
export {
  type ConsoleGuest,
  ConsoleHub,
  type ConsoleInput,
  type ConsoleViewer,
} from "./console_hub.ts";
export { Log, type LogLevel, type LogOptions } from "./log.ts";
export { openTap } from "./net/open_tap.ts";
export { MachineError, type RunOutcome } from "./outcome.ts";
export { type RunOptions, runVm } from "./run_vm.ts";
export { RunningVm, type StartOptions } from "./running_vm.ts";
export { runtimeBase } from "./runtime_base.ts";
export { isRunning, listDirectory, readRecord, RuntimeDir, type VmRecord } from "./runtime_dir.ts";
export { readSnapshotInfo, type SnapshotInfo } from "./snapshot_info.ts";
export { CONFIG_CONTEXT, guestMessages, providerMessages } from "./provide/guest_messages.ts";
export {
  type OpenedDevice,
  openServed,
  type ServedDevice,
  serveDevice,
  type ServeOptions,
} from "./serve_device.ts";
export {
  type DeviceInfo,
  type GroupInfo,
  type LimitInfo,
  type NetInfo,
  type ProvidedInfo,
  type QueueInfo,
  type VmControl,
  type VmEvent,
  type VmEventKind,
  type VmInfo,
  type VmState,
  VmStateError,
} from "./vm_control.ts";
export { startWorker } from "./worker.ts";
export { monitorCalls, vcpuCalls } from "./monitor_calls.ts";
export { tryJail } from "./try_jail.ts";
export { Terminal, type TerminalEvents } from "./terminal.ts";
