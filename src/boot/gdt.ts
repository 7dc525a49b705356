import type { GuestMemory } from "../memory/mod.ts";

/** Selectors of Linux's boot protocol: __BOOT_CS and __BOOT_DS. */
export const BOOT_CODE_SELECTOR = 0x10;
export const BOOT_DATA_SELECTOR = 0x18;
/** Flat 64-bit code and flat data, present, accessed (Intel SDM vol. 3 §3.4.5). */
const DESCRIPTORS = [0n, 0n, 0x00af_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn];
export const GDT_LIMIT = DESCRIPTORS.length * 8 - 1;

/** Writes the boot-time GDT, whose descriptors agree with what applyEntry loads into the segments. */
export function writeGdt(memory: GuestMemory, at: number): void {
  memory.write(at, new Uint8Array(new BigUint64Array(DESCRIPTORS).buffer));
}
