/** The devices every PC has, beside PCI: serial port, clock, keyboard controller, ACPI power management, pvpanic. */

export { AcpiPm } from "./acpi_pm.ts";
export { I8042 } from "./i8042.ts";
export {
  attachLegacy,
  createLegacy,
  type DeviceContext,
  type LegacyDescription,
  type LegacyDevices,
  type Placed,
} from "./legacy_devices.ts";
export { Pvpanic } from "./pvpanic.ts";
export { Rtc } from "./rtc.ts";
export { INPUT_CAPACITY, OUTPUT_CAPACITY, Serial } from "./serial.ts";
export { SerialPort } from "./serial_port.ts";
