/** Virtio Wayland. */

export type { DoorbellDirection, DoorbellFunction } from "./doorbells.ts";
export { WlDevice, type WlOptions } from "./wl_device.ts";
