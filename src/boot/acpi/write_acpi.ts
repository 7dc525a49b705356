import type { GuestMemory } from "../../memory/mod.ts";
import { ACPI_AREA, GENERATION_ID_ADDRESS } from "../memory_map.ts";
import type { PciWindows } from "../pci_windows.ts";
import { join, little } from "./aml.ts";
import { dsdt } from "./dsdt.ts";
import { fadt } from "./fadt.ts";
import { madt } from "./madt.ts";
import { mcfg } from "./mcfg.ts";
import { checksum, OEM_ID, table } from "./table.ts";

/** What the tables describe. */
export interface AcpiOptions {
  /** Number of vCPUs; their APIC ids are 0..cpus-1. */
  cpus: number;
  /** The ranges in which the guest may place BARs. */
  pciWindows: PciWindows;
  /** Further whole tables (SSDTs of devices), each with header and checksum. */
  extra?: readonly Uint8Array[];
}

const RSDP_SIZE = 36;
const FACS_SIZE = 64;
/** FACS must be 64-byte aligned (§5.2.10); the others share the alignment for easy reading of dumps. */
const ALIGN = 64;

/**
 * Writes all ACPI tables into the BIOS area at 0xE0000 and gives the address of the RSDP.
 * Throws RangeError when they do not fit there.
 */
export function writeAcpi(memory: GuestMemory, options: AcpiOptions): number {
  if (!Number.isInteger(options.cpus) || options.cpus < 1) {
    throw new RangeError(`a machine of ${options.cpus} CPUs has no ACPI tables`);
  }
  let next = ACPI_AREA.base + RSDP_SIZE;
  const place = (data: Uint8Array): number => {
    const address = Math.ceil(next / ALIGN) * ALIGN;
    next = address + data.length;
    if (next > GENERATION_ID_ADDRESS) {
      throw new RangeError(`the ACPI tables of ${options.cpus} CPUs do not fit in the BIOS area`);
    }
    memory.write(address, data);
    return address;
  };

  const dsdtAddress = place(table("DSDT", 2, dsdt(options.pciWindows)));
  const tables = [
    place(fadt(dsdtAddress, place(facs()))),
    place(madt(options.cpus)),
    place(mcfg()),
    ...(options.extra ?? []).map(place),
  ];
  const xsdtAddress = place(table("XSDT", 1, join(...tables.map((address) => little(address, 8)))));
  memory.write(ACPI_AREA.base, rsdp(xsdtAddress));
  return ACPI_AREA.base;
}

/** Firmware ACPI Control Structure, version 2: no global lock owner, no waking vector. */
function facs(): Uint8Array {
  const version = 2;
  const data = new Uint8Array(FACS_SIZE);
  data.set(join(new TextEncoder().encode("FACS"), little(FACS_SIZE, 4)));
  data[32] = version;
  return data;
}

/** Root System Description Pointer, revision 2 (§5.2.5.3): two checksums, no RSDT. */
function rsdp(xsdtAddress: number): Uint8Array {
  const revision = 2;
  const data = join(
    new TextEncoder().encode("RSD PTR "),
    0,
    OEM_ID,
    revision,
    little(0, 4),
    little(RSDP_SIZE, 4),
    little(xsdtAddress, 8),
    little(0, 4),
  );
  const v1Length = 20;
  data[8] = checksum(data.subarray(0, v1Length));
  data[32] = checksum(data);
  return data;
}
