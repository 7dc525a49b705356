/** Virtio Wayland. */

export { WlDevice, type WlOptions } from "./wl_device.ts";
