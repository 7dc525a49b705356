// Initial RAM disks: the archive format, and the small one that mounts a disk as root.
export { cpio, type CpioEntry } from "./cpio.ts";
export { type ModuleChoice, moduleEntries } from "./module_entries.ts";
export { rootInitrd } from "./root_initrd.ts";
