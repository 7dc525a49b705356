import {
  PANIC_PORT,
  PM1A_CONTROL_PORT,
  PM1A_EVENT_PORT,
  RTC_PORT,
  SCI_LINE,
  SERIAL_LINE,
  SERIAL_PORT,
  SLEEP_TYPE_S5,
} from "../boot/mod.ts";
import {
  type BusRange,
  GsiLine,
  IgnoredDevice,
  type InterruptController,
  type MachineEvents,
  type PortBus,
  type SharedState,
  type StateArena,
} from "../bus/mod.ts";
import { EventFd, Fd, type SharedFd } from "../os/mod.ts";
import { AcpiPm } from "./acpi_pm.ts";
import { I8042 } from "./i8042.ts";
import { Pvpanic } from "./pvpanic.ts";
import { Rtc } from "./rtc.ts";
import { Serial } from "./serial.ts";

/** The devices of every PC, as plain data from which each thread makes its own objects. */
export interface LegacyDescription {
  readonly serial: Placed & { readonly line: number; readonly wake: SharedFd };
  readonly clock: Placed;
  readonly keyboard: Placed;
  readonly power: Placed & { readonly line: number; readonly sleepTypeOff: number };
  readonly panic: { readonly range: BusRange };
  /** Ports that kernels poke without need of an answer. */
  readonly ignored: readonly BusRange[];
}

/** Where a device is: its ports, and its registers in the shared state. */
export interface Placed {
  readonly range: BusRange;
  readonly state: number;
}

/** A thread's objects over those devices. */
export interface LegacyDevices extends Record<string, { restored(): void }> {
  readonly serial: Serial;
  readonly clock: Rtc;
  readonly keyboard: I8042;
  readonly power: AcpiPm;
}

/** What devices need of the thread they run on. */
export interface DeviceContext {
  readonly state: SharedState;
  readonly interrupts: InterruptController;
  readonly events: MachineEvents;
}

/** Linux touches these although ACPI does not name them. */
const IGNORED: readonly BusRange[] = [
  // DMA page registers and the POST code, the traditional delay.
  { base: 0x80, size: 16 },
  { base: 0xed, size: 1, width: 1 },
  // Serial ports 2 to 4.
  { base: 0x2e8, size: 8 },
  { base: 0x2f8, size: 8 },
  { base: 0x3e8, size: 8 },
  // VGA registers.
  { base: 0x3b0, size: 0x30 },
];

/** Puts the state of the devices into `arena`. `wake` is the eventfd of the console's main-thread end. */
export function createLegacy(arena: StateArena, wake: SharedFd): LegacyDescription {
  return {
    serial: {
      range: { base: SERIAL_PORT, size: 8, width: 1 },
      line: SERIAL_LINE,
      state: Serial.create(arena),
      wake,
    },
    clock: { range: { base: RTC_PORT, size: 2, width: 1 }, state: Rtc.create(arena) },
    // Port 0x61 between the two is answered by KVM, with its PIT.
    keyboard: { range: { base: 0x60, size: 5, width: 1 }, state: I8042.create(arena) },
    power: {
      range: { base: PM1A_EVENT_PORT, size: PM1A_CONTROL_PORT + 2 - PM1A_EVENT_PORT, width: 2 },
      line: SCI_LINE,
      sleepTypeOff: SLEEP_TYPE_S5,
      state: AcpiPm.create(arena),
    },
    panic: { range: { base: PANIC_PORT, size: 1, width: 1 } },
    ignored: IGNORED,
  };
}

/** Makes this thread's device objects and puts them on its port bus. */
export function attachLegacy(
  description: LegacyDescription,
  ports: PortBus,
  { state, interrupts, events }: DeviceContext,
): LegacyDevices {
  const line = (gsi: number) => new GsiLine(interrupts, gsi);
  const serial = new Serial(state, description.serial.state, {
    line: line(description.serial.line),
    wake: EventFd.borrow(Fd.borrow(description.serial.wake)),
    events,
  });
  const clock = new Rtc(state, description.clock.state);
  const keyboard = new I8042(state, description.keyboard.state, events);
  const power = new AcpiPm(state, description.power.state, {
    sci: line(description.power.line),
    events,
    sleepTypeOff: description.power.sleepTypeOff,
  });
  ports.add(description.serial.range, serial);
  ports.add(description.clock.range, clock);
  ports.add(description.keyboard.range, keyboard);
  ports.add(description.power.range, power);
  ports.add(description.panic.range, new Pvpanic(events));
  const ignored = new IgnoredDevice();
  for (const range of description.ignored) ports.add(range, ignored);
  return { serial, clock, keyboard, power };
}
