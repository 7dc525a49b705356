/** Device backends, one folder each: what a virtio device does with the requests of its driver. */

export { BlkDevice, type BlkOptions, Disk, DiskError } from "./blk/mod.ts";
export { ConsoleDevice } from "./console/mod.ts";
export {
  NetDevice,
  type NetEnd,
  NetEndError,
  type NetOptions,
  StreamEnd,
  TapEnd,
} from "./net/mod.ts";
export { guestCalls } from "./guest_calls.ts";
export { policies } from "./policies.ts";
export { engineCalls, memoryCalls } from "./runtime_calls.ts";
export { RngDevice } from "./rng/mod.ts";
export { descriptorCommands } from "./vhost_calls.ts";
export { MOST_CONNECTIONS, VsockDevice, type VsockOptions } from "./vsock/mod.ts";
export { WlDevice, type WlOptions } from "./wl/mod.ts";
export {
  MESSAGE_SOCKET,
  monitorMessages,
  workerMessages,
  type WorkerSetUp,
} from "./worker_messages.ts";
