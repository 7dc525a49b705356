import { struct, u16, u32, u64, u8 } from "../codec/mod.ts";

/** Where the setup header lies in the file and in the zero page. */
export const SETUP_HEADER_OFFSET = 0x1f1;

/** struct setup_header, Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header". */
export const SetupHeader = struct({
  setupSectors: u8,
  rootFlags: u16,
  sysSize: u32,
  ramSize: u16,
  videoMode: u16,
  rootDevice: u16,
  bootFlag: u16,
  jump: u8,
  jumpOffset: u8,
  magic: u32,
  version: u16,
  realModeSwitch: u32,
  startSystemSegment: u16,
  kernelVersion: u16,
  loaderType: u8,
  loadFlags: u8,
  setupMoveSize: u16,
  code32Start: u32,
  ramdiskImage: u32,
  ramdiskSize: u32,
  bootSectorKludge: u32,
  heapEnd: u16,
  extendedLoaderVersion: u8,
  extendedLoaderType: u8,
  cmdlinePointer: u32,
  initrdAddressMax: u32,
  kernelAlignment: u32,
  relocatable: u8,
  minAlignment: u8,
  extendedLoadFlags: u16,
  cmdlineSize: u32,
  hardwareSubarch: u32,
  hardwareSubarchData: u64,
  payloadOffset: u32,
  payloadLength: u32,
  setupData: u64,
  preferredAddress: u64,
  initSize: u32,
  handoverOffset: u32,
});

/** boot_flag, and "HdrS". */
export const BOOT_FLAG = 0xaa55;
export const HEADER_MAGIC = 0x5372_6448;
/** First version with xloadflags (Linux 3.8), the only word on whether the kernel has a 64-bit entry. */
export const OLDEST_PROTOCOL = 0x020c;
/** Bits of loadflags. */
export const LoadFlag = { /** LOADED_HIGH */ LoadedHigh: 1 << 0 } as const;
/** Bits of xloadflags. */
export const ExtendedLoadFlag = { /** XLF_KERNEL_64 */ Kernel64: 1 << 0 } as const;
/** type_of_loader: no assigned number. */
export const UNKNOWN_LOADER = 0xff;
/** The 64-bit entry point, from the start of the protected-mode kernel. */
export const ENTRY_64_OFFSET = 0x200;
/** Unit of setup_sects; unit of syssize. */
export const SECTOR = 512;
export const PARAGRAPH = 16;

/** Fields of struct boot_params beside the header, as byte offsets (boot.rst, zero-page.rst). */
export const ZeroPage = {
  size: 4096,
  /** acpi_rsdp_addr, u64, since protocol 2.14 (ignored before) */ rsdp: 0x070,
  /** e820_entries, u8 */ e820Count: 0x1e8,
  /** e820_table */ e820: 0x2d0,
  /** E820_MAX_ENTRIES_ZEROPAGE */ e820Max: 128,
  /** The setup header must end before EDD data. */ headerEnd: 0x290,
} as const;
