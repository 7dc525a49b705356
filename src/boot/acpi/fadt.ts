import { bytes, struct, u16, u32, u64, u8 } from "../../codec/mod.ts";
import { PM1A_CONTROL_PORT, PM1A_EVENT_PORT, RESET_PORT, RESET_VALUE, SCI_LINE } from "./ports.ts";
import { table } from "./table.ts";

/** Generic Address Structure, ACPI 6.4 §5.2.3.2. */
const GenericAddress = struct({
  space: u8,
  bitWidth: u8,
  bitOffset: u8,
  accessSize: u8,
  address: u64,
});
const PORT_SPACE = 1;

/** FADT after the table header, revision 6, ACPI 6.4 §5.2.9. Register blocks we lack stay zero. */
const Fadt = struct({
  firmwareCtrl: u32,
  dsdt: u32,
  reserved0: u8,
  preferredPmProfile: u8,
  sciInterrupt: u16,
  smiCommand: u32,
  acpiEnable: u8,
  acpiDisable: u8,
  s4BiosRequest: u8,
  pstateControl: u8,
  pm1aEventBlock: u32,
  pm1bEventBlock: u32,
  pm1aControlBlock: u32,
  pm1bControlBlock: u32,
  pm2ControlBlock: u32,
  pmTimerBlock: u32,
  gpe0Block: u32,
  gpe1Block: u32,
  pm1EventLength: u8,
  pm1ControlLength: u8,
  pm2ControlLength: u8,
  pmTimerLength: u8,
  gpe0Length: u8,
  gpe1Length: u8,
  gpe1Base: u8,
  cstateControl: u8,
  c2Latency: u16,
  c3Latency: u16,
  flushSize: u16,
  flushStride: u16,
  dutyOffset: u8,
  dutyWidth: u8,
  dayAlarm: u8,
  monthAlarm: u8,
  century: u8,
  bootArchitecture: u16,
  reserved1: u8,
  flags: u32,
  resetRegister: GenericAddress,
  resetValue: u8,
  armBootArchitecture: u16,
  minorVersion: u8,
  extendedFirmwareCtrl: u64,
  extendedDsdt: u64,
  extendedPm1aEvent: GenericAddress,
  extendedPm1bEvent: GenericAddress,
  extendedPm1aControl: GenericAddress,
  extendedPm1bControl: GenericAddress,
  extendedPm2Control: GenericAddress,
  extendedPmTimer: GenericAddress,
  extendedGpe0: GenericAddress,
  extendedGpe1: GenericAddress,
  sleepControl: GenericAddress,
  sleepStatus: GenericAddress,
  hypervisorVendor: bytes(8),
});

/**
 * Fixed feature flags (§5.2.9.1). The power button is a fixed one (PWR_BUTTON clear), there is no
 * sleep button (SLP_BUTTON set means: not a fixed one), the RTC wakes nobody.
 */
const Flag = {
  /** WBINVD */ CacheFlushWorks: 1 << 0,
  /** PROC_C1 */ HaltIsC1: 1 << 2,
  /** SLP_BUTTON */ NoFixedSleepButton: 1 << 5,
  /** FIX_RTC */ NoFixedClockWake: 1 << 6,
  /** RESET_REG_SUP */ ResetRegister: 1 << 10,
} as const;

/**
 * IA-PC boot architecture flags (§5.2.9.3). Without the 8042 flag, and with no keyboard in the DSDT,
 * Linux does not look for a keyboard controller (which costs 65,000 exits when none answers); port
 * 0x64 still resets the machine for those who write to it unasked.
 */
const BootFlag = {
  /** LEGACY_DEVICES: a serial port on ISA addresses. */ LegacyDevices: 1 << 0,
  /** VGA Not Present */ NoVga: 1 << 2,
  /** PCIe ASPM Controls */ NoAspm: 1 << 4,
} as const;

/** A power-management profile has no effect on a machine like ours; 4 is "enterprise server". */
const SERVER_PROFILE = 4;
/** Where the RTC keeps the century in its CMOS memory, as on PCs. */
const CENTURY_REGISTER = 0x32;
/** C-state latencies above these mean "no such state". */
const NO_C2 = 101;
const NO_C3 = 1001;

function portBlock(address: number, bytes: number) {
  return { space: PORT_SPACE, bitWidth: bytes * 8, bitOffset: 0, accessSize: 2, address };
}

/** The FADT: no SMI command port (ACPI mode is always on), no PM timer, no GPE blocks. */
export function fadt(dsdtAddress: number, facsAddress: number): Uint8Array {
  const eventLength = 4;
  const controlLength = 2;
  return table(
    "FACP",
    6,
    Fadt.encode({
      firmwareCtrl: facsAddress,
      dsdt: dsdtAddress,
      preferredPmProfile: SERVER_PROFILE,
      sciInterrupt: SCI_LINE,
      pm1aEventBlock: PM1A_EVENT_PORT,
      pm1aControlBlock: PM1A_CONTROL_PORT,
      pm1EventLength: eventLength,
      pm1ControlLength: controlLength,
      c2Latency: NO_C2,
      c3Latency: NO_C3,
      century: CENTURY_REGISTER,
      bootArchitecture: BootFlag.LegacyDevices | BootFlag.NoVga | BootFlag.NoAspm,
      flags: Flag.CacheFlushWorks | Flag.HaltIsC1 | Flag.NoFixedSleepButton |
        Flag.NoFixedClockWake | Flag.ResetRegister,
      resetRegister: { ...portBlock(RESET_PORT, 1), accessSize: 1 },
      resetValue: RESET_VALUE,
      minorVersion: 4,
      extendedDsdt: dsdtAddress,
      extendedPm1aEvent: portBlock(PM1A_EVENT_PORT, eventLength),
      extendedPm1aControl: portBlock(PM1A_CONTROL_PORT, controlLength),
      hypervisorVendor: new TextEncoder().encode("SPECTRUM"),
    }),
  );
}
