/** The type 0 configuration header (PCI Local Bus 3.0 §6.1, §6.2) and its bits. */
import { array, struct, u16, u32, u8 } from "../codec/mod.ts";

/** Bytes of configuration space that a conventional function has. */
export const CONFIG_SIZE = 256;

/** Type 0 header. */
export const Header = struct({
  vendor: u16,
  device: u16,
  command: u16,
  status: u16,
  revision: u8,
  /** programming interface, subclass, class */
  classCode: array(u8, 3),
  cacheLineSize: u8,
  latencyTimer: u8,
  headerType: u8,
  bist: u8,
  bars: array(u32, 6),
  cardbus: u32,
  subsystemVendor: u16,
  subsystem: u16,
  expansionRom: u32,
  capabilities: u8,
  reserved: array(u8, 7),
  interruptLine: u8,
  interruptPin: u8,
  minGrant: u8,
  maxLatency: u8,
});

/** Command register. */
export const Command = {
  /** Memory space enable: BARs are decoded. */ Memory: 1 << 1,
  BusMaster: 1 << 2,
  InterruptDisable: 1 << 10,
} as const;

/** Status register: there is a capability list. */
export const STATUS_CAPABILITIES = 1 << 4;

/** Low bits of a memory BAR (§6.2.5.1). */
export const BarFlag = { Memory64: 4, Prefetchable: 8 } as const;

/** Capability ids (PCI Code and ID Assignment). */
export const CapabilityId = { Vendor: 0x09, Msix: 0x11 } as const;

/** Where a BAR's register is. */
export function barRegister(index: number): number {
  return Header.offset.bars + 4 * index;
}
