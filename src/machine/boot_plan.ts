/** What a machine boots, with every name resolved to a file. */
export interface BootPlan {
  /** Path of a bzImage or PVH ELF image. */
  readonly kernel: string;
  readonly initrd?: string;
  /** Words for the kernel that follow the machine's own. */
  readonly cmdline: string;
  /** Path of an image of ours that is the VM's last disk, read-only, with the serial `system`. */
  readonly system?: string;
}
