/** A virtio console between a guest and descriptors of the host. */

export { ConsoleDevice } from "./console_device.ts";
