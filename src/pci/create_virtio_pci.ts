import type { StateArena } from "../bus/mod.ts";
import { DeviceId } from "../virtio/mod.ts";
import type { BarAllocator } from "./bar_allocator.ts";
import { ConfigImageBuilder } from "./config_image.ts";
import { CapabilityId } from "./config_registers.ts";
import { ConfigSpace } from "./config_space.ts";
import { Msix } from "./msix.ts";
import { type Bar, PciFunction } from "./pci_function.ts";
import { layOutSharedMemory, SharedMemory, type SharedMemoryDescription } from "./shared_memory.ts";
import type { ConfigRange } from "./virtio_device.ts";
import {
  AccessCap,
  CapType,
  CommonLayout,
  DOORBELL_STRIDE,
  LargeCap,
  MAX_CONFIG_SIZE,
  MAX_QUEUES,
  NotifyCap,
  SHARED_MEMORY_BAR,
  VirtioBar,
  VirtioCap,
} from "./virtio_layout.ts";
import type { VirtioPciDescription } from "./virtio_pci.ts";
import { DeviceState, QueueState } from "./virtio_state.ts";

/** A virtio device that a machine is to have. */
export interface VirtioPlan {
  /** As in the configuration: `disk0`. */
  readonly name: string;
  /** Virtio device id (virtio 1.2 §5), 1 to 63. */
  readonly type: number;
  /** The most queues its backend may have, 1 to 255. */
  readonly maxQueues: number;
  /** Bytes of device-specific configuration, at most 256; 0 for a device without. */
  readonly configSize: number;
  /** What of it a driver may write; other writes go nowhere. */
  readonly writableConfig?: readonly ConfigRange[];
  readonly sharedMemory?: SharedMemoryPlan;
}

/** Shared memory of a device (virtio 1.2 §2.10). */
export interface SharedMemoryPlan {
  /** Sizes of its regions in bytes, by id. */
  readonly sizes: readonly number[];
  /** The most that may be mapped there at a time, each in a memory slot of the machine. */
  readonly mappings: number;
}

/** Vectors of a device: one per queue and one for configuration changes. */
export function vectorsOf(plan: VirtioPlan): number {
  return plan.maxQueues + 1;
}

/** Memory slots of the machine that a device takes. */
export function slotsOf({ sharedMemory }: VirtioPlan): number {
  return sharedMemory?.mappings ?? 0;
}

/** PCI vendor of virtio devices, and the device id of type 0 (virtio 1.2 §4.1.2). */
const VIRTIO_VENDOR = 0x1af4;
const FIRST_MODERN_DEVICE = 0x1040;
const LAST_TYPE = 63;
const MODERN_REVISION = 1;

/** PCI class codes by virtio device id; others are unclassified. */
const CLASS_CODES: Readonly<Record<number, number>> = {
  [DeviceId.Net]: 0x02_0000,
  [DeviceId.Block]: 0x01_8000,
  [DeviceId.Console]: 0x07_8000,
  [DeviceId.Gpu]: 0x03_8000,
  [DeviceId.Input]: 0x09_8000,
  [DeviceId.Vsock]: 0x02_8000,
  [DeviceId.Fs]: 0x01_8000,
};
const UNCLASSIFIED = 0x00_ff00;
const HALF = 2 ** 32;

/** Where the BARs of a machine go. */
export interface BarPlaces {
  /** Below 4 GiB. */
  readonly low: BarAllocator;
  /** Above RAM. */
  readonly high: BarAllocator;
}

/** Puts the state of a virtio function into `arena`, its BARs into the windows. */
export function createVirtioPci(
  arena: StateArena,
  bars: BarPlaces,
  plan: VirtioPlan,
  place: { readonly slot: number; readonly firstGsi: number; readonly firstMemorySlot: number },
): VirtioPciDescription {
  const { name, type, maxQueues, configSize } = plan;
  if (
    type < 1 || type > LAST_TYPE || maxQueues < 1 || maxQueues > MAX_QUEUES || configSize < 0 ||
    configSize > MAX_CONFIG_SIZE
  ) {
    throw new RangeError(
      `${name} cannot be a virtio device of type ${type} with ${maxQueues} queues ` +
        `and ${configSize} bytes of configuration`,
    );
  }
  const builder = new ConfigImageBuilder({
    vendor: VIRTIO_VENDOR,
    device: FIRST_MODERN_DEVICE + type,
    revision: MODERN_REVISION,
    classCode: CLASS_CODES[type] ?? UNCLASSIFIED,
    subsystemVendor: VIRTIO_VENDOR,
    subsystem: FIRST_MODERN_DEVICE + type,
  });
  builder.bar({
    index: VirtioBar.index,
    size: VirtioBar.size,
    address: bars.low.allocate(VirtioBar.size),
  });
  const shared = addSharedMemory(builder, bars.high, plan);
  const vectors = vectorsOf(plan);
  const capability = builder.msix(
    vectors,
    VirtioBar.index,
    VirtioBar.msixTable,
    VirtioBar.msixPba,
  );
  const accessCapability = addVirtioCapabilities(builder, plan);
  const image = builder.build();

  const state = arena.allocate(PciFunction.stateSize, 64);
  new ConfigSpace(arena.state, state + PciFunction.configAt, image).reset();
  const msix = Msix.create(arena, {
    vectors,
    firstGsi: place.firstGsi,
    sources: maxQueues + 1,
    capability,
  });
  const registers = arena.allocate(DeviceState.size + maxQueues * QueueState.size);
  return {
    slot: place.slot,
    image,
    bars: [{ index: VirtioBar.index, size: VirtioBar.size }, ...shared.bars],
    state,
    sharedMemory: shared.regions.length === 0 ? undefined : {
      regions: shared.regions,
      table: arena.allocate(SharedMemory.stateSize(slotsOf(plan))),
      capacity: slotsOf(plan),
      firstSlot: place.firstMemorySlot,
    },
    device: { registers, maxQueues, writableConfig: plan.writableConfig ?? [], msix },
    accessCapability,
  };
}

/** The BAR and the capabilities of shared memory (§4.1.4.7). */
function addSharedMemory(
  builder: ConfigImageBuilder,
  window: BarAllocator,
  { sharedMemory }: VirtioPlan,
): { regions: SharedMemoryDescription["regions"]; bars: Bar[] } {
  if (sharedMemory === undefined) return { regions: [], bars: [] };
  const { regions, barSize: size } = layOutSharedMemory(sharedMemory.sizes);
  const index = SHARED_MEMORY_BAR;
  builder.bar({ index, size, address: window.allocate(size), prefetchable: true });
  for (const [id, { start, size }] of regions.entries()) {
    const cap = LargeCap.encode({
      cap: {
        length: 2 + LargeCap.size,
        type: CapType.SharedMemory,
        bar: index,
        id,
        padding: [],
        offset: start % HALF,
        size: size % HALF,
      },
      offsetHigh: Math.floor(start / HALF),
      sizeHigh: Math.floor(size / HALF),
    });
    builder.capability(CapabilityId.Vendor, cap);
  }
  return { regions, bars: [{ index, size }] };
}

/** The capabilities of §4.1.4; returns the offset of the last, which gives access to the BAR. */
function addVirtioCapabilities(builder: ConfigImageBuilder, plan: VirtioPlan): number {
  const cap = (type: number, offset: number, size: number) => ({
    length: 2 + VirtioCap.size,
    type,
    bar: VirtioBar.index,
    id: 0,
    padding: [],
    offset,
    size,
  });
  const add = (body: Uint8Array, writable?: Uint8Array) =>
    builder.capability(CapabilityId.Vendor, body, writable);

  add(VirtioCap.encode(cap(CapType.Common, VirtioBar.common, CommonLayout.size)));
  add(VirtioCap.encode(cap(CapType.Isr, VirtioBar.isr, 1)));
  if (plan.configSize > 0) {
    const size = Math.ceil(plan.configSize / 4) * 4;
    add(VirtioCap.encode(cap(CapType.Device, VirtioBar.device, size)));
  }
  const doorbells = plan.maxQueues * DOORBELL_STRIDE;
  add(NotifyCap.encode({
    cap: { ...cap(CapType.Notify, VirtioBar.notify, doorbells), length: 2 + NotifyCap.size },
    multiplier: DOORBELL_STRIDE,
  }));
  return add(
    AccessCap.encode({ cap: { ...cap(CapType.PciAccess, 0, 0), length: 2 + AccessCap.size } }),
    AccessCap.encode({
      cap: { length: 0, type: 0, bar: 0xff, id: 0, padding: [], offset: -1, size: -1 },
      data: new Uint8Array(4).fill(0xff),
    }),
  );
}
