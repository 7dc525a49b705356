/** Where the ACPI tables say that the platform's registers are; the platform emulates them there. */

/** PM1a event block: status (2 bytes) and enable (2 bytes), ACPI 6.4 §4.8.3.1. */
export const PM1A_EVENT_PORT = 0x600;
/** PM1a control register (2 bytes), §4.8.3.2. */
export const PM1A_CONTROL_PORT = 0x604;
/** The interrupt of power-management events: level-triggered, active high, GSI = line. */
export const SCI_LINE = 9;
/** FADT reset register: writing {@linkcode RESET_VALUE} there resets the machine (also chipset habit). */
export const RESET_PORT = 0xcf9;
export const RESET_VALUE = 6;
/** SLP_TYP for \_S5, soft off. */
export const SLEEP_TYPE_S5 = 5;
/** pvpanic's port (QEMU0001). */
export const PANIC_PORT = 0x505;
/** Of the event by which a guest hears that it was restored: edge-triggered, active high, a pin no ISA device has. */
export const GENERATION_GSI = 20;
/** COM1. */
export const SERIAL_PORT = 0x3f8;
export const SERIAL_LINE = 4;
/** CMOS RTC: index and data. */
export const RTC_PORT = 0x70;
export const RTC_LINE = 8;
/** PCI configuration mechanism #1: address and data. */
export const PCI_CONFIG_PORT = 0xcf8;
