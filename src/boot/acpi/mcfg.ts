import { ECAM } from "../memory_map.ts";
import { join, little } from "./aml.ts";
import { table } from "./table.ts";

/** MCFG, PCI Firmware Specification 3.3 §4.1.2: ECAM of segment 0, bus 0 only. */
export function mcfg(): Uint8Array {
  const segment = 0;
  const firstBus = 0;
  const lastBus = 0;
  return table(
    "MCFG",
    1,
    join(
      little(0, 8),
      little(ECAM.base, 8),
      little(segment, 2),
      firstBus,
      lastBus,
      little(0, 4),
    ),
  );
}
