/** Resource descriptors, the contents of _CRS (ACPI 6.4 §6.4). */
import { type Aml, buffer, join, little } from "./aml.ts";

/** IO (Decode16, base, base, 1, length): fixed ports (§6.4.2.5). */
export function ports(base: number, length: number): Aml {
  return join(0x47, 1, little(base, 2), little(base, 2), 1, length);
}

/** IRQNoFlags () {line}: an edge-triggered, active-high ISA interrupt (§6.4.2.1). */
export function isaInterrupt(line: number): Aml {
  return join(0x22, little(1 << line, 2));
}

/** Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) {gsi} (§6.4.3.6). */
export function interrupt(gsi: number): Aml {
  const consumerAndEdge = 3;
  const body = join(consumerAndEdge, 1, little(gsi, 4));
  return join(0x89, little(body.length, 2), body);
}

/** Memory32Fixed (ReadWrite, base, length) (§6.4.3.4). */
export function fixedMemory(base: number, length: number): Aml {
  return join(0x86, little(9, 2), 1, little(base, 4), little(length, 4));
}

/** What an address space descriptor hands out (§6.4.3.5). */
const SpaceKind = { Memory: 0, Io: 1, Bus: 2 } as const;
const SpaceTag = { 2: 0x88, 4: 0x87, 8: 0x8a } as const;
/** Producer, positive decode, minimum and maximum fixed. */
const FIXED_WINDOW = 0x0c;

function addressSpace(
  width: 2 | 4 | 8,
  kind: number,
  typeFlags: number,
  base: number,
  length: number,
): Aml {
  const fields = [0, base, base + length - 1, 0, length].map((value) => little(value, width));
  const body = join(kind, FIXED_WINDOW, typeFlags, ...fields);
  return join(SpaceTag[width], little(body.length, 2), body);
}

/** WordBusNumber: the buses behind a host bridge. */
export function busWindow(first: number, count: number): Aml {
  return addressSpace(2, SpaceKind.Bus, 0, first, count);
}

/** WordIO over the entire range: ports that a host bridge forwards. */
export function portWindow(base: number, length: number): Aml {
  const entireRange = 3;
  return addressSpace(2, SpaceKind.Io, entireRange, base, length);
}

/**
 * DWordMemory or QWordMemory, read-write: memory that a host bridge forwards. Not prefetchable:
 * Linux places both kinds of BAR in such a window, only prefetchable ones in the other.
 */
export function memoryWindow(width: 4 | 8, base: number, length: number): Aml {
  const readWrite = 1;
  return addressSpace(width, SpaceKind.Memory, readWrite, base, length);
}

/** ResourceTemplate () { … }, ended by an end tag without checksum (§6.4.2.9). */
export function resourceTemplate(...descriptors: Aml[]): Aml {
  return buffer(join(...descriptors, 0x79, 0));
}
