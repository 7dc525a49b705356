import type { MmioBus, PortBus } from "../bus/mod.ts";
import {
  attachLegacy,
  type DeviceContext,
  type LegacyDescription,
  type LegacyDevices,
} from "../platform/mod.ts";

/** Every in-monitor device of a machine, as plain data from which each thread makes its own objects. */
export interface PlatformDescription {
  readonly legacy: LegacyDescription;
}

/** Makes this thread's objects over the machine's devices and puts them on its buses. */
export function attachPlatform(
  description: PlatformDescription,
  ports: PortBus,
  _mmio: MmioBus,
  context: DeviceContext,
): LegacyDevices {
  return attachLegacy(description.legacy, ports, context);
}
