import type { GuestMemory } from "../memory/mod.ts";
import type { BootFile } from "./boot_file.ts";
import {
  BOOT_FLAG,
  ENTRY_64_OFFSET,
  ExtendedLoadFlag,
  HEADER_MAGIC,
  LoadFlag,
  OLDEST_PROTOCOL,
  PARAGRAPH,
  SECTOR,
  SETUP_HEADER_OFFSET,
  SetupHeader,
  UNKNOWN_LOADER,
  ZeroPage,
} from "./bzimage.ts";
import { writeCommandLine } from "./command_line.ts";
import type { Linux64Entry } from "./entry.ts";
import { writeGdt } from "./gdt.ts";
import { writeIdentityMap } from "./identity_map.ts";
import { type Initrd, loadInitrd } from "./initrd.ts";
import { KernelError } from "./kernel_error.ts";
import { GDT_ADDRESS, PAGE_TABLES_ADDRESS, ZERO_PAGE_ADDRESS } from "./layout.ts";
import type { KernelOptions } from "./load_kernel.ts";
import { lowRam, mebibytes } from "./low_ram.ts";
import { E820Entry, HIGH_RAM, memoryMap } from "./memory_map.ts";

type Header = ReturnType<typeof SetupHeader.decode>;
const HEADER_END = SETUP_HEADER_OFFSET + SetupHeader.size;
const MAX_ALIGNMENT = 2 ** 30;

/** Whether the start of a file carries Linux's setup header. */
export function isBzImage(start: Uint8Array): boolean {
  if (start.length < HEADER_END) return false;
  const header = SetupHeader.decode(start.subarray(SETUP_HEADER_OFFSET));
  return header.bootFlag === BOOT_FLAG && header.magic === HEADER_MAGIC;
}

/** Loads a bzImage for entry by the 64-bit boot protocol. Throws KernelError. */
export function loadBzImage(
  memory: GuestMemory,
  kernel: BootFile,
  options: KernelOptions,
): Linux64Entry {
  const header = SetupHeader.decode(kernel.read(SETUP_HEADER_OFFSET, SetupHeader.size));
  check(kernel, header);
  const setupSize = ((header.setupSectors || 4) + 1) * SECTOR;
  const systemSize = header.sysSize * PARAGRAPH;
  // The file may end inside the last paragraph.
  kernel.requireSize(setupSize + systemSize - PARAGRAPH + 1);
  const length = Math.min(systemSize, kernel.size - setupSize);

  const needed = Math.max(header.initSize, systemSize);
  const address = place(memory, kernel.name, header, needed);
  kernel.copy(setupSize, length, memory, address);
  const initrd = options.initrd &&
    loadInitrd(memory, options.initrd, address + needed, header.initrdAddressMax + 1);
  const cmdline = writeCommandLine(memory, options.cmdline, header.cmdlineSize, kernel.name);
  // The header's end is where the jump at 0x200 leads; fields we do not know stay as they are.
  const headerLength = Math.min(0x202 + header.jumpOffset, ZeroPage.headerEnd) -
    SETUP_HEADER_OFFSET;
  const rawHeader = kernel.read(SETUP_HEADER_OFFSET, Math.max(headerLength, SetupHeader.size));
  memory.write(
    ZERO_PAGE_ADDRESS,
    zeroPage(memory, rawHeader, { cmdline, initrd, rsdp: options.rsdp }),
  );
  writeGdt(memory, GDT_ADDRESS);
  return {
    kind: "linux64",
    instruction: address + ENTRY_64_OFFSET,
    zeroPage: ZERO_PAGE_ADDRESS,
    pageTables: writeIdentityMap(memory, PAGE_TABLES_ADDRESS),
    gdt: GDT_ADDRESS,
  };
}

function check(kernel: BootFile, header: Header): void {
  const fail = (reason: "too-old" | "32-bit" | "malformed", detail: string): never => {
    throw new KernelError(reason, kernel.name, detail);
  };
  if (header.version < OLDEST_PROTOCOL) {
    const version = `${header.version >> 8}.${String(header.version & 0xff).padStart(2, "0")}`;
    fail("too-old", `it speaks boot protocol ${version}; Linux 3.8 or newer is needed (2.12)`);
  }
  if (!(header.extendedLoadFlags & ExtendedLoadFlag.Kernel64)) {
    fail("32-bit", "it is a 32-bit kernel. Take one built for x86-64 (amd64).");
  }
  if (!(header.loadFlags & LoadFlag.LoadedHigh)) {
    fail("malformed", "it wants to be loaded below 1 MiB (a zImage)");
  }
  const alignment = header.kernelAlignment;
  if (alignment === 0 || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) !== 0) {
    fail("malformed", `its alignment of ${alignment} bytes is not a power of two`);
  }
  if (header.sysSize * PARAGRAPH <= ENTRY_64_OFFSET) {
    fail("malformed", "its header leaves no room for code");
  }
}

/** The preferred address where memory reaches so far, else, for a relocatable kernel, the lowest. */
function place(memory: GuestMemory, name: string, header: Header, needed: number): number {
  const end = lowRam(memory);
  const lowest = Math.ceil(HIGH_RAM / header.kernelAlignment) * header.kernelAlignment;
  const preferred = header.preferredAddress;
  if (preferred >= HIGH_RAM && preferred + needed <= end) return preferred;
  if (header.relocatable && lowest + needed <= end) return lowest;
  const start = header.relocatable ? lowest : preferred;
  throw new KernelError(
    "does-not-fit",
    name,
    `it needs ${mebibytes(start + needed)} MiB to start, the machine has ${mebibytes(end)} MiB ` +
      `below 4 GiB. Give the machine more memory.`,
  );
}

/** struct boot_params with the kernel's own header and what we tell it. */
function zeroPage(
  memory: GuestMemory,
  rawHeader: Uint8Array,
  { cmdline, initrd, rsdp }: { cmdline: number; initrd?: Initrd; rsdp?: number },
): Uint8Array {
  const page = new Uint8Array(ZeroPage.size);
  const view = new DataView(page.buffer);
  page.set(rawHeader, SETUP_HEADER_OFFSET);
  const header = SetupHeader.at(view, SETUP_HEADER_OFFSET);
  header.loaderType = UNKNOWN_LOADER;
  header.cmdlinePointer = cmdline;
  header.ramdiskImage = initrd?.address ?? 0;
  header.ramdiskSize = initrd?.size ?? 0;
  header.setupData = 0;
  view.setUint32(ZeroPage.rsdp, rsdp ?? 0, true);
  const map = memoryMap(memory);
  if (map.length > ZeroPage.e820Max) throw new RangeError("too many memory regions");
  view.setUint8(ZeroPage.e820Count, map.length);
  map.forEach((entry, i) => E820Entry.set(view, ZeroPage.e820 + i * E820Entry.size, entry));
  return page;
}
