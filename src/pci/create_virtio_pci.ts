import type { StateArena } from "../bus/mod.ts";
import { DeviceId } from "../virtio/mod.ts";
import type { BarAllocator } from "./bar_allocator.ts";
import { ConfigImageBuilder } from "./config_image.ts";
import { CapabilityId } from "./config_registers.ts";
import { ConfigSpace } from "./config_space.ts";
import { Msix } from "./msix.ts";
import { PciFunction } from "./pci_function.ts";
import type { ConfigRange } from "./virtio_device.ts";
import {
  AccessCap,
  CapType,
  CommonLayout,
  DOORBELL_STRIDE,
  MAX_CONFIG_SIZE,
  MAX_QUEUES,
  NotifyCap,
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
}

/** Vectors of a device: one per queue and one for configuration changes. */
export function vectorsOf(plan: VirtioPlan): number {
  return plan.maxQueues + 1;
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

/** Puts the state of a virtio function into `arena`, its BAR into the window. */
export function createVirtioPci(
  arena: StateArena,
  bars: BarAllocator,
  plan: VirtioPlan,
  place: { readonly slot: number; readonly firstGsi: number },
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
    address: bars.allocate(VirtioBar.size),
  });
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
    bars: [{ index: VirtioBar.index, size: VirtioBar.size }],
    state,
    device: { registers, maxQueues, writableConfig: plan.writableConfig ?? [], msix },
    accessCapability,
  };
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
