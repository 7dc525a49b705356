/** Layouts of the vhost-user protocol. Source: QEMU's docs/interop/vhost-user.rst, "Message Specification". */

import { array, bytes, struct, u16, u32, u64, u64big, u8 } from "../codec/mod.ts";
import { MAX_MEMORY_REGIONS } from "./protocol.ts";

/** "Header", 12 bytes, before each payload. */
export const Header = struct({
  request: u32,
  /** {@link HeaderFlags} */
  flags: u32,
  /** Bytes of payload that follow. */
  size: u32,
});

/** "A single 64-bit integer" that is a set of bits or a plain number up to 2^64. */
export const U64 = struct({ value: u64big });

/** "A vring state description": SetVringNum, SetVringBase, GetVringBase, SetVringEnable. */
export const VringState = struct({ index: u32, num: u32 });

/** "A vring address description", in the order of the kernel's struct vhost_vring_addr. Ring addresses are user addresses, `log` a guest address. */
export const VringAddr = struct({
  index: u32,
  /** Bit 0: VHOST_VRING_F_LOG. */
  flags: u32,
  descriptor: u64,
  used: u64,
  available: u64,
  log: u64,
});

/** One region of "Memory regions description". Addresses and sizes in bytes. */
export const MemoryRegion = struct({
  guestAddress: u64,
  size: u64,
  userAddress: u64,
  /** Where the region starts in the memory of its descriptor. */
  mmapOffset: u64,
});

/** "Memory regions description": SetMemTable. On the wire only `count` regions follow the first eight bytes; see {@link memoryTableSize}. */
export const MemoryTable = struct({
  count: u32,
  padding: u32,
  regions: array(MemoryRegion, MAX_MEMORY_REGIONS),
});

/** Bytes of a memory table of so many regions on the wire. */
export function memoryTableSize(count: number): number {
  return MemoryTable.offset.regions + count * MemoryRegion.size;
}

/** "Single memory region description": AddMemReg, RemMemReg. */
export const SingleMemoryRegion = struct({ padding: u64, region: MemoryRegion });

/** "Virtio device config space": the head of GetConfig and SetConfig; `size` bytes follow. */
export const ConfigHeader = struct({
  offset: u32,
  size: u32,
  /** {@link ConfigFlags} */
  flags: u32,
});

/** "Inflight description". The C structure ends with four bytes of padding, which everyone sends. */
export const Inflight = struct({
  mmapSize: u64,
  mmapOffset: u64,
  queueCount: u16,
  queueSize: u16,
  padding: bytes(4),
});

/** "Shared memory regions": the most that a device can have. */
export const MAX_SHARED_MEMORY_REGIONS = 256;

/** The reply to GetShmemConfig: sizes in bytes by region, 0 where there is none. */
export const SharedMemoryConfig = struct({
  count: u32,
  padding: u32,
  sizes: array(u64, MAX_SHARED_MEMORY_REGIONS),
});

/** The backend's ShmemMap and ShmemUnmap ("VirtIO Shared Memory Regions"). Offsets and length in bytes. */
export const SharedMemoryMapping = struct({
  region: u8,
  padding: bytes(7),
  /** Where in the memory of the descriptor that comes along it begins. */
  fdOffset: u64,
  /** Where in the region it goes. */
  offset: u64,
  length: u64,
  /** {@link SharedMemoryFlags} */
  flags: u64,
});

/** "Vring area description": the backend's VringHostNotifier. */
export const VringArea = struct({ indexAndFlags: u64big, size: u64, offset: u64 });

/** "Inflight I/O tracking": one descriptor of a split queue's region (DescStateSplit). */
export const InflightDescriptor = struct({
  /** 1 while the chain with this head is being worked on. */
  inflight: u8,
  padding: bytes(5),
  next: u16,
  counter: u64,
});

/** "Inflight I/O tracking": the head of a split queue's region (QueueRegionSplit), before its descriptors. */
export const InflightQueue = struct({
  features: u64,
  /** 1; 0 says that nothing is in it yet. */
  version: u16,
  descriptorCount: u16,
  lastBatchHead: u16,
  usedIndex: u16,
});
