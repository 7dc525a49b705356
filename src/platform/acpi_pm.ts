import {
  type AccessSize,
  type InterruptLine,
  type IoDevice,
  type MachineEvents,
  type SharedState,
  type StateArena,
  StateLock,
} from "../bus/mod.ts";
import { struct, u16, u32 } from "../codec/mod.ts";

/** PM1 status and enable bits, ACPI 6.4 §4.8.3.1. */
const Event = {
  /** GBL */ Global: 1 << 5,
  /** PWRBTN */ PowerButton: 1 << 8,
  /** RTC_EN: Linux insists that it can be set, though the FADT says that the clock wakes nobody. */
  Clock: 1 << 10,
} as const;

/** PM1 control bits, §4.8.3.2. */
const Control = {
  /** SCI_EN: there is no legacy mode to leave. */ SciEnable: 1,
  /** SLP_TYP, three bits */ SleepTypeShift: 10,
  SleepTypeMask: 7,
  /** SLP_EN: reads as zero. */ SleepEnable: 1 << 13,
} as const;

const State = struct({ lock: u32, status: u16, enable: u16, control: u16, level: u16 });

/** What the registers need from outside. */
export interface AcpiPmWiring {
  readonly sci: InterruptLine;
  readonly events: MachineEvents;
  /** SLP_TYP that means soft off, as the DSDT's \_S5 tells the guest. */
  readonly sleepTypeOff: number;
}

/**
 * The fixed ACPI power-management registers: PM1a event block (status, enable) at offset 0 and PM1a
 * control at offset 4, two bytes each; the bus splits wider accesses. The power button raises the SCI; sleep type S5 with SLP_EN
 * powers off.
 */
export class AcpiPm implements IoDevice {
  readonly #lock: StateLock;
  readonly #s: ReturnType<typeof State.at>;
  readonly #wiring: AcpiPmWiring;

  /** Sets state aside and puts it in reset state. */
  static create(arena: StateArena): number {
    return arena.allocate(State.size, 64);
  }

  constructor(state: SharedState, offset: number, wiring: AcpiPmWiring) {
    this.#lock = new StateLock(state, offset + State.offset.lock);
    this.#s = State.at(state.view, offset);
    this.#wiring = wiring;
  }

  read(offset: number, size: AccessSize): number {
    this.#lock.acquire();
    try {
      return size === 1 ? this.#word(offset & ~1) >> (offset & 1 ? 8 : 0) : this.#word(offset);
    } finally {
      this.#lock.release();
    }
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.#lock.acquire();
    try {
      if (size === 1) this.#setByte(offset, value);
      else this.#setWord(offset, value);
      this.#updateLine();
    } finally {
      this.#lock.release();
    }
  }

  /** Presses the power button: the guest is asked to power off, if it listens. Any thread. */
  pressPowerButton(): void {
    this.#lock.run(() => {
      this.#s.status |= Event.PowerButton;
      this.#updateLine();
    });
  }

  /** After the state was replaced by a saved one: frees the lock and drives the line again. */
  restored(): void {
    this.#lock.restored();
    this.#wiring.sci.set(this.#s.level ? 1 : 0);
  }

  #word(offset: number): number {
    switch (offset) {
      case 0:
        return this.#s.status;
      case 2:
        return this.#s.enable;
      case 4:
        return this.#s.control | Control.SciEnable;
      default:
        return 0;
    }
  }

  #setByte(offset: number, value: number): void {
    const word = offset & ~1;
    const shift = offset & 1 ? 8 : 0;
    // Status bits are cleared by writing ones, so a byte write must leave the other byte zero there.
    const other = word === 0 ? 0 : this.#word(word) & (0xff00 >> shift);
    this.#setWord(word, other | (value << shift));
  }

  #setWord(offset: number, value: number): void {
    switch (offset) {
      case 0:
        this.#s.status &= ~value;
        return;
      case 2:
        this.#s.enable = value & (Event.Global | Event.PowerButton | Event.Clock);
        return;
      case 4: {
        this.#s.control = value & ~Control.SleepEnable;
        const type = (value >> Control.SleepTypeShift) & Control.SleepTypeMask;
        if ((value & Control.SleepEnable) && type === this.#wiring.sleepTypeOff) {
          this.#wiring.events.raise("power-off");
        }
      }
    }
  }

  #updateLine(): void {
    const level = this.#s.status & this.#s.enable ? 1 : 0;
    if (level === this.#s.level) return;
    this.#s.level = level;
    this.#wiring.sci.set(level);
  }
}
