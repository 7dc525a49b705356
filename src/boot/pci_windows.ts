import { type GuestMemory, PCI_HOLE_START } from "../memory/mod.ts";
import type { AddressRange } from "./memory_map.ts";

/** Where BARs may lie. */
export interface PciWindows {
  /** Below 4 GiB. */
  readonly low: AddressRange;
  /** Above RAM; missing where the CPU's physical addresses leave no room. */
  readonly high: AddressRange | undefined;
}

const GIB = 2 ** 30;
const LOW_WINDOW: AddressRange = { base: PCI_HOLE_START, size: 0x2000_0000 };
const HIGH_WINDOW_START = 64 * GIB;
const HIGH_WINDOW_SIZE = 256 * GIB;

/**
 * The windows of a machine. The high one begins at the GiB above RAM, at 64 GiB the earliest, and is
 * 256 GiB long unless `physicalBits` (CPUID 0x80000008, guest-physical address width) ends before.
 */
export function pciWindows(
  memory: Pick<GuestMemory, "regions">,
  physicalBits: number,
): PciWindows {
  const ramEnd = Math.max(...memory.regions.map((r) => r.guestAddress + r.size));
  const base = Math.max(HIGH_WINDOW_START, Math.ceil(ramEnd / GIB) * GIB);
  const size = Math.min(HIGH_WINDOW_SIZE, 2 ** physicalBits - base);
  return { low: LOW_WINDOW, high: size > 0 ? { base, size } : undefined };
}
