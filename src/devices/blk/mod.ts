/** A virtio disk on a raw image or a block device. */

export { BlkDevice, type BlkOptions } from "./blk_device.ts";
export { Disk, DiskError } from "./disk.ts";
