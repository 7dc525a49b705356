/**
 * Spectrum as a library: run a VM, talk to it, serve a device, write a device backend of your own.
 *
 * ```ts
 * import { Vm } from "spectrum";
 *
 * await using vm = await Vm.start({ kernel: "debian", memory: "256M" });
 * console.log((await vm.info()).state);
 * ```
 *
 * @module
 */

export {
  ConfigError,
  type DiskConfig,
  parseConfig,
  readConfig,
  type VmConfig,
  type VmInput,
} from "./src/config/mod.ts";
export {
  ConnectionLostError,
  ControlError,
  NoSuchVmError,
  StartError,
  Vm,
  VmConsole,
  type VmEntry,
  type VmOptions,
} from "./src/control/mod.ts";
export {
  AgentError,
  type AgentWait,
  type GuestCommandOptions,
  type GuestCopyOptions,
  type GuestExecOptions,
  type GuestOutput,
  GuestProcess,
  type GuestStatus,
  type TerminalSize,
} from "./src/agent/mod.ts";
export {
  type DeviceInfo,
  type GroupInfo,
  type LimitInfo,
  Log,
  type LogOptions,
  MachineError,
  type NetInfo,
  type ProvidedInfo,
  type RunOutcome,
  serveDevice,
  type ServeOptions,
  type VmEvent,
  type VmInfo,
  type VmState,
  VmStateError,
} from "./src/machine/mod.ts";
export { BlkDevice, ConsoleDevice, Disk, RngDevice } from "./src/devices/mod.ts";
export { DeviceLoop } from "./src/vhost/mod.ts";
export { DescriptorChain, DeviceId, type VirtioDevice, Virtqueue } from "./src/virtio/mod.ts";
export {
  type Borrowed,
  Fd,
  listenUnix,
  OsError,
  type Owned,
  useLibrary,
  Window,
} from "./src/os/mod.ts";
export { lockDown } from "./src/sandbox/mod.ts";
