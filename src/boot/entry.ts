/** How the boot vCPU enters the kernel that was loaded. */
export type Entry = Linux64Entry | PvhEntry;

/** Linux's 64-bit boot protocol: long mode, identity mapping, RSI = zero page. */
export interface Linux64Entry {
  readonly kind: "linux64";
  readonly instruction: number;
  readonly zeroPage: number;
  readonly pageTables: number;
  readonly gdt: number;
}

/** PVH (Xen's x86/HVM direct boot ABI): flat 32-bit protected mode, EBX = start info. */
export interface PvhEntry {
  readonly kind: "pvh";
  readonly instruction: number;
  readonly startInfo: number;
}
