/** What a machine boots, with every name resolved to a file. */
export interface BootPlan {
  /** Path of a bzImage or PVH ELF image. */
  readonly kernel: string;
  readonly initrd?: string;
  /** Words for the kernel that follow the machine's own. */
  readonly cmdline: string;
}
