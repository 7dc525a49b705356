/** The virtio 1.2 specification as code: ids, features, the device side of virtqueues, config layouts. */

export {
  BlkConfig,
  BlkDiscardSegment,
  BlkFeature,
  BlkRequestHeader,
  BlkRequestType,
  BlkStatus,
  SECTOR_SIZE,
  SERIAL_SIZE,
  WRITE_ZEROES_UNMAP,
} from "./blk.ts";
export { ConsoleConfig, ConsoleFeature } from "./console.ts";
export { DescriptorChain } from "./descriptor_chain.ts";
export type { DeviceSource, SharedMemoryMapper, VirtioDevice } from "./device.ts";
export { DeviceId } from "./device_id.ts";
export { Feature, featureNames } from "./feature.ts";
export {
  ETHERNET_HEADER,
  MAC_SIZE,
  NetAck,
  NetConfig,
  NetControl,
  NetFeature,
  NetHeader,
  NetHeaderFlag,
  NetMtu,
  NetStatus,
} from "./net.ts";
export { MAX_QUEUE_SIZE, ringBytes, type RingPlacement } from "./ring_layout.ts";
export { DeviceStatus } from "./status.ts";
export { type QueueFault, queueFaultText } from "./queue_fault.ts";
export {
  type CompletionLog,
  type QueueGate,
  Virtqueue,
  type VirtqueueOptions,
} from "./virtqueue.ts";
export {
  VSOCK_FIRST_GUEST_CID,
  VSOCK_HOST_CID,
  VsockConfig,
  VsockEvent,
  VsockEventId,
  VsockFeature,
  VsockHeader,
  VsockOperation,
  VsockShutdown,
  VsockType,
} from "./vsock.ts";
export {
  WL_FIRST_CREDIT,
  WL_HOST_ID,
  WL_IN_BUFFER,
  WL_MAX_DESCRIPTORS,
  WlCommand,
  WlCredit,
  WlDoorbell,
  WlFeature,
  WlFlag,
  WlHeader,
  WlNew,
  WlNewNamed,
  WlResponse,
  WlTransfer,
  WlVfd,
} from "./wl.ts";
// For tests of devices.
export { DescFlag } from "./ring_layout.ts";
export {
  type MockBuffer,
  type MockDescriptor,
  MockDriver,
  type MockDriverOptions,
  type MockPlace,
  type MockRequest,
} from "./mock_driver.ts";
