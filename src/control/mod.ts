/** The control API of a running VM: HTTP over a Unix socket, its console beside it, and a client of both. */

export { ControlServer, type ControlServerOptions } from "./control_server.ts";
export { ConnectionLostError, ControlError, NoSuchVmError, StartError } from "./errors.ts";
export { type MonitorOrder, MonitorProcess, type MonitorReport } from "./monitor_process.ts";
export { newLogFile, Vm, VmConsole, type VmOptions } from "./vm.ts";
export { findRunningVm, findVm, listVms, type VmEntry } from "./vm_list.ts";
