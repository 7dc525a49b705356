import { IOAPIC_ADDRESS, LOCAL_APIC_ADDRESS } from "../memory_map.ts";
import { join, little } from "./aml.ts";
import { SCI_LINE } from "./ports.ts";
import { table } from "./table.ts";

/** Interrupt controller structures, ACPI 6.4 §5.2.12. */
const Kind = {
  LocalApic: 0,
  IoApic: 1,
  SourceOverride: 2,
  LocalApicNmi: 4,
  LocalX2Apic: 9,
} as const;

const ENABLED = 1;
/** MPS INTI flags: level-triggered, active high. */
const LEVEL_HIGH = 0x000d;
const ALL_PROCESSORS = 0xff;
/** xAPIC ids stop here; higher ones need x2APIC structures. */
const LAST_XAPIC_ID = 254;

function entry(kind: number, body: Uint8Array): Uint8Array {
  return join(kind, body.length + 2, body);
}

function processor(id: number): Uint8Array {
  return id <= LAST_XAPIC_ID
    ? entry(Kind.LocalApic, join(id, id, little(ENABLED, 4)))
    : entry(Kind.LocalX2Apic, join(little(0, 2), little(id, 4), little(ENABLED, 4), little(id, 4)));
}

/**
 * The MADT. APIC id = vCPU id. KVM wires the PIT to IOAPIC pin 0 (not 2 as PCs do), ISA lines to the
 * pins of the same number, so that only the SCI's trigger mode needs an override.
 */
export function madt(cpus: number): Uint8Array {
  const dualPicPresent = 1;
  const ioApicId = 0;
  return table(
    "APIC",
    5,
    join(
      little(LOCAL_APIC_ADDRESS, 4),
      little(dualPicPresent, 4),
      ...Array.from({ length: cpus }, (_, id) => processor(id)),
      entry(Kind.IoApic, join(ioApicId, 0, little(IOAPIC_ADDRESS, 4), little(0, 4))),
      entry(Kind.SourceOverride, join(0, SCI_LINE, little(SCI_LINE, 4), little(LEVEL_HIGH, 2))),
      entry(Kind.LocalApicNmi, join(ALL_PROCESSORS, little(0, 2), 1)),
    ),
  );
}
