/** PCI: the bus, configuration space, MSI-X, virtio's transport over it, and the assembly of all in-monitor devices. */

export { WindowExhausted } from "./bar_allocator.ts";
export { createPlatform, type PlatformControl, type PlatformPlan } from "./create_platform.ts";
export { type SharedMemoryPlan, vectorsOf, type VirtioPlan } from "./create_virtio_pci.ts";
export type { DoorbellControl } from "./doorbell_control.ts";
export { MAX_DOORBELLS } from "./doorbell_layout.ts";
export type { DoorbellUse } from "./doorbell_slots.ts";
export { TooManyVectors } from "./gsi_routes.ts";
export {
  type AddressWindow,
  buildPlatform,
  type Platform,
  type PlatformContext,
  type PlatformDescription,
  type VirtioDescription,
} from "./platform.ts";
export type { ConfigRange, VirtioEvents } from "./virtio_device.ts";
export { MAX_CONFIG_SIZE, MAX_QUEUES } from "./virtio_layout.ts";
export {
  type Activation,
  type ActiveQueue,
  type Offer,
  OfferError,
  VirtioPciControl,
  type VirtioRequest,
} from "./virtio_pci_control.ts";
export type { RamRange } from "./virtio_queues.ts";
export { Fault, type FaultCode } from "./virtio_state.ts";
