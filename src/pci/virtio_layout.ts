/** Where a virtio function keeps its structures: capabilities and BAR (virtio 1.2 §4.1.4). */
import { array, bytes, struct, u16, u32, u64, u8 } from "../codec/mod.ts";

/** struct virtio_pci_common_cfg, §4.1.4.3. */
export const CommonLayout = struct({
  deviceFeatureSelect: u32,
  deviceFeature: u32,
  driverFeatureSelect: u32,
  driverFeature: u32,
  configMsixVector: u16,
  queueCount: u16,
  deviceStatus: u8,
  configGeneration: u8,
  queueSelect: u16,
  queueSize: u16,
  queueMsixVector: u16,
  queueEnable: u16,
  queueNotifyOff: u16,
  queueDesc: u64,
  queueDriver: u64,
  queueDevice: u64,
  queueNotifyData: u16,
  queueReset: u16,
});

/** struct virtio_pci_cap without its generic first two bytes, §4.1.4. */
export const VirtioCap = struct({
  length: u8,
  type: u8,
  bar: u8,
  id: u8,
  padding: array(u8, 2),
  offset: u32,
  size: u32,
});

/** struct virtio_pci_cap64, §4.1.4: for a shared memory region (§4.1.4.7), whose id is in `cap`. */
export const LargeCap = struct({ cap: VirtioCap, offsetHigh: u32, sizeHigh: u32 });
/** struct virtio_pci_notify_cap, §4.1.4.4. */
export const NotifyCap = struct({ cap: VirtioCap, multiplier: u32 });
/** struct virtio_pci_cfg_cap, §4.1.4.9. */
export const AccessCap = struct({ cap: VirtioCap, data: bytes(4) });

/** cfg_type */
export const CapType = {
  Common: 1,
  Notify: 2,
  Isr: 3,
  Device: 4,
  PciAccess: 5,
  SharedMemory: 8,
} as const;

/** The BAR of registers and the parts of it; each part has a page of its own. */
export const VirtioBar = {
  index: 0,
  size: 0x8000,
  common: 0x0000,
  isr: 0x1000,
  device: 0x2000,
  notify: 0x3000,
  msixTable: 0x4000,
  msixPba: 0x5000,
  pageSize: 0x1000,
} as const;

/** The BAR of shared memory, where there is any. */
export const SHARED_MEMORY_BAR = 2;
/** notify_off_multiplier: queues ring four bytes apart. */
export const DOORBELL_STRIDE = 4;
/** What a page of doorbells, a page of MSI-X table and one vector more than queues allow. */
export const MAX_QUEUES = 255;
/** Device-specific configuration that fits in a vhost-user message. */
export const MAX_CONFIG_SIZE = 256;
