/** Console device: features and config space (virtio 1.2 §5.3). */

import { struct, u16, u32 } from "../codec/mod.ts";

/** Feature bits (§5.3.3), as masks. */
export const ConsoleFeature = {
  Size: 1n << 0n,
  Multiport: 1n << 1n,
  EmergencyWrite: 1n << 2n,
} as const;

/** struct virtio_console_config (§5.3.4). */
export const ConsoleConfig = struct({
  columns: u16,
  rows: u16,
  maxPorts: u32,
  emergencyWrite: u32,
});
