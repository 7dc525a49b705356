import type { PciWindows } from "../pci_windows.ts";
import { ECAM, GENERATION_ID_ADDRESS } from "../memory_map.ts";
import {
  type Aml,
  device,
  eisaId,
  integer,
  join,
  method,
  name,
  notify,
  pkg,
  scope,
  text,
} from "./aml.ts";
import {
  GENERATION_GSI,
  PANIC_PORT,
  PCI_CONFIG_PORT,
  RTC_LINE,
  RTC_PORT,
  SERIAL_LINE,
  SERIAL_PORT,
  SLEEP_TYPE_S5,
} from "./ports.ts";
import {
  busWindow,
  fixedMemory,
  interrupt,
  isaInterrupt,
  memoryWindow,
  ports,
  portWindow,
  resourceTemplate,
} from "./resources.ts";

/** The body of the DSDT: the devices that no bus of the machine can describe by itself. */
export function dsdt(windows: PciWindows): Aml {
  return join(
    scope(
      "\\_SB",
      pciRoot(windows),
      reservedMemory(),
      panicDevice(),
      serialPort(),
      clock(),
      generationId(),
      generationEvent(),
    ),
    name("\\_S5", pkg(integer(SLEEP_TYPE_S5), integer(SLEEP_TYPE_S5), integer(0), integer(0))),
  );
}

/**
 * The PCI host bridge. It has no _PRT: functions have no INTx pin, they signal by MSI-X.
 * A plain PNP0A08 without _OSC means: no hot plug, power management or error reporting by the guest.
 */
function pciRoot(windows: PciWindows): Aml {
  const afterConfigPorts = PCI_CONFIG_PORT + 8;
  return device(
    "PCI0",
    name("_HID", eisaId("PNP0A08")),
    name("_CID", eisaId("PNP0A03")),
    name("_UID", integer(0)),
    name("_SEG", integer(0)),
    name("_BBN", integer(0)),
    name(
      "_CRS",
      resourceTemplate(
        busWindow(0, 1),
        ports(PCI_CONFIG_PORT, 8),
        portWindow(0, PCI_CONFIG_PORT),
        portWindow(afterConfigPorts, 0x10000 - afterConfigPorts),
        memoryWindow(4, windows.low.base, windows.low.size),
        ...(windows.high ? [memoryWindow(8, windows.high.base, windows.high.size)] : []),
      ),
    ),
  );
}

/** Linux believes MCFG only where a motherboard resource reserves the same range. */
function reservedMemory(): Aml {
  return device(
    "MRES",
    name("_HID", eisaId("PNP0C02")),
    name("_UID", integer(0)),
    name("_CRS", resourceTemplate(fixedMemory(ECAM.base, ECAM.size))),
  );
}

function serialPort(): Aml {
  return device(
    "COM1",
    name("_HID", eisaId("PNP0501")),
    name("_UID", integer(1)),
    name("_STA", integer(0xf)),
    name("_CRS", resourceTemplate(ports(SERIAL_PORT, 8), isaInterrupt(SERIAL_LINE))),
  );
}

function clock(): Aml {
  return device(
    "RTC0",
    name("_HID", eisaId("PNP0B00")),
    name("_CRS", resourceTemplate(ports(RTC_PORT, 2), isaInterrupt(RTC_LINE))),
  );
}

/** pvpanic: present, enabled, functioning, not to be shown to a user. */
function panicDevice(): Aml {
  return device(
    "PEVT",
    name("_HID", text("QEMU0001")),
    name("_STA", integer(0xb)),
    name("_CRS", resourceTemplate(ports(PANIC_PORT, 1))),
  );
}

/**
 * Virtual Machine Generation ID (Microsoft, 2018): 16 bytes in memory, at the address that ADDR tells in two halves, which
 * are others each time when a saved VM goes on. Kernels reseed their random numbers then.
 */
function generationId(): Aml {
  return device(
    "VGEN",
    name("_HID", text("SPEC0001")),
    name("_CID", text("VM_Gen_Counter")),
    name("_DDN", text("VM_Gen_Counter")),
    name("ADDR", pkg(integer(GENERATION_ID_ADDRESS), integer(0))),
  );
}

/** A generic event device (ACPI 6.4 §5.6.9), whose one interrupt says that the generation ID has changed. */
function generationEvent(): Aml {
  return device(
    "GED0",
    name("_HID", text("ACPI0013")),
    name("_UID", integer(0)),
    name("_CRS", resourceTemplate(interrupt(GENERATION_GSI))),
    method("_EVT", 1, notify("\\_SB.VGEN", 0x80)),
  );
}
