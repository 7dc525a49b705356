// Initial RAM disks: the archive format, and the small one that mounts a disk as root.
export { cpio, type CpioEntry } from "./cpio.ts";
