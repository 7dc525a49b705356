/** What a machine boots, with every name resolved to a file. */
export interface BootPlan {
  /** Path of a bzImage or PVH ELF image. */
  readonly kernel: string;
  readonly initrd?: string;
  /** Words for the kernel that follow the machine's own. */
  readonly cmdline: string;
  /** Disks of ours behind those of the configuration. */
  readonly disks?: readonly SystemDisk[];
}

/** A disk that no configuration names: an image of ours, or what a VM writes on top of one. */
export interface SystemDisk {
  /** By which the guest finds it, and name of the device. */
  readonly serial: string;
  readonly path: string;
  readonly readonly: boolean;
  /** Its name is taken away once it is open, so that it ends with the VM. */
  readonly disposable?: boolean;
}
