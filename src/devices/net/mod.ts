/** A virtio network device between a guest and a tap or passt on the host. */

export { NetDevice, type NetOptions } from "./net_device.ts";
export { type NetEnd, NetEndError } from "./net_end.ts";
export { StreamEnd } from "./stream_end.ts";
export { TapEnd } from "./tap_end.ts";
