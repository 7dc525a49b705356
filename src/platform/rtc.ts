import {
  type AccessSize,
  type IoDevice,
  type SharedState,
  type StateArena,
  StateLock,
} from "../bus/mod.ts";
import { bytes, type Field, struct, u32 } from "../codec/mod.ts";
import { type CalendarTime, calendarTime, fromCalendar, toCalendar } from "./calendar.ts";

/** Registers of a MC146818 and the century of PCs. 1, 3 and 5 hold the alarm. */
const Register = {
  Seconds: 0,
  Minutes: 2,
  Hours: 4,
  Weekday: 6,
  Day: 7,
  Month: 8,
  Year: 9,
  A: 10,
  B: 11,
  C: 12,
  D: 13,
  Century: 0x32,
} as const;

/** Register B */
const ControlB = { Set: 0x80, Binary: 0x04, Hours24: 0x02 } as const;
/** Register A: update in progress; read only. */
const UPDATE_IN_PROGRESS = 0x80;
/** Register A: 32,768 Hz time base, 1,024 Hz periodic rate, as firmware leaves it. */
const DEFAULT_A = 0x26;
/** Register D: RAM and time valid. */
const VALID = 0x80;
/** Hours in 12-hour mode: afternoon. */
const AFTERNOON = 0x80;
/** How long a look at register A, which says that no update is near, keeps the time still. */
const STILL_MS = 10;

const f64: Field<number> = {
  size: 8,
  get: (view, offset) => view.getFloat64(offset, true),
  set: (view, offset, value) => view.setFloat64(offset, value, true),
};

const State = struct({
  lock: u32,
  index: u32,
  /** What the guest set the clock to, minus the host's clock, in seconds. */
  ahead: f64,
  /** The host's clock in milliseconds when register A was read. */
  stillSince: f64,
  cmos: bytes(128),
});

/**
 * The CMOS clock at ports 0x70 (index) and 0x71 (data), in UTC. Time comes from the host's clock when it
 * is read; there is no update cycle, so UIP never shows. A guest may set the time for itself. Alarm
 * and periodic registers are stored, but never interrupt.
 */
export class Rtc implements IoDevice {
  readonly #lock: StateLock;
  readonly #s: { index: number; ahead: number; stillSince: number };
  readonly #cmos: Uint8Array;
  readonly #clock: () => number;
  readonly #time: CalendarTime = calendarTime();

  /** Sets state aside and puts it in the state after power-on. */
  static create(arena: StateArena): number {
    const offset = arena.allocate(State.size, 64);
    const { cmos } = State.at(arena.state.view, offset);
    cmos[Register.A] = DEFAULT_A;
    cmos[Register.B] = ControlB.Hours24;
    return offset;
  }

  /** `clock` gives milliseconds since 1970 in UTC. */
  constructor(state: SharedState, offset: number, clock: () => number = Date.now) {
    this.#lock = new StateLock(state, offset + State.offset.lock);
    const view = State.at(state.view, offset);
    this.#s = view;
    this.#cmos = view.cmos;
    this.#clock = clock;
  }

  /** After the state was replaced by a saved one. */
  restored(): void {
    this.#lock.restored();
  }

  read(port: number, _size: AccessSize): number {
    // The index port is write-only.
    if (port === 0) return 0xff;
    this.#lock.acquire();
    try {
      return this.#readRegister(this.#s.index);
    } finally {
      this.#lock.release();
    }
  }

  write(port: number, _size: AccessSize, value: number): void {
    this.#lock.acquire();
    try {
      // Bit 7 of the index masks the NMI on PCs.
      if (port === 0) this.#s.index = value & 0x7f;
      else this.#writeRegister(this.#s.index, value);
    } finally {
      this.#lock.release();
    }
  }

  #readRegister(register: number): number {
    switch (register) {
      case Register.A:
        this.#s.stillSince = this.#clock();
        return this.#cmos[Register.A];
      case Register.C:
        // No interrupt is ever pending.
        return 0;
      case Register.D:
        return VALID;
    }
    if (!isTime(register) || this.#setting) return this.#cmos[register];
    this.#now();
    return this.#encode(register, this.#time);
  }

  #writeRegister(register: number, value: number): void {
    const cmos = this.#cmos;
    switch (register) {
      case Register.A:
        cmos[register] = value & ~UPDATE_IN_PROGRESS;
        return;
      case Register.B: {
        const was = this.#setting;
        const will = (value & ControlB.Set) !== 0;
        // The time is taken in the old format, and shown in the new one.
        if (was && !will) this.#takeTime();
        cmos[register] = value;
        if (!was && will) this.#holdTime();
        return;
      }
      case Register.C:
      case Register.D:
        return;
    }
    if (!isTime(register)) {
      cmos[register] = value;
    } else if (this.#setting) {
      cmos[register] = value;
    } else {
      this.#holdTime();
      cmos[register] = value;
      this.#takeTime();
    }
  }

  /** SET: the time registers are plain memory that the guest fills. */
  get #setting(): boolean {
    return (this.#cmos[Register.B] & ControlB.Set) !== 0;
  }

  /** Puts the guest's present time into `#time`. */
  #now(): void {
    const clock = this.#clock();
    const since = clock - this.#s.stillSince;
    const at = since >= 0 && since < STILL_MS ? this.#s.stillSince : clock;
    toCalendar(Math.floor(at / 1000) + this.#s.ahead, this.#time);
  }

  /** Copies the present time into the registers. */
  #holdTime(): void {
    this.#now();
    for (const register of TIME_REGISTERS) {
      this.#cmos[register] = this.#encode(register, this.#time);
    }
  }

  /** Lets the clock go on from the time in the registers. */
  #takeTime(): void {
    const cmos = this.#cmos;
    const time = this.#time;
    time.second = this.#decode(cmos[Register.Seconds]);
    time.minute = this.#decode(cmos[Register.Minutes]);
    time.hour = this.#decodeHour(cmos[Register.Hours]);
    time.day = this.#decode(cmos[Register.Day]);
    time.month = this.#decode(cmos[Register.Month]);
    time.year = this.#decode(cmos[Register.Century]) * 100 + this.#decode(cmos[Register.Year]);
    this.#s.ahead = fromCalendar(time) - Math.floor(this.#clock() / 1000);
  }

  #encode(register: number, time: CalendarTime): number {
    switch (register) {
      case Register.Seconds:
        return this.#digits(time.second);
      case Register.Minutes:
        return this.#digits(time.minute);
      case Register.Hours: {
        if (this.#cmos[Register.B] & ControlB.Hours24) return this.#digits(time.hour);
        const afternoon = time.hour >= 12 ? AFTERNOON : 0;
        return this.#digits(time.hour % 12 || 12) | afternoon;
      }
      case Register.Weekday:
        return this.#digits(time.weekday);
      case Register.Day:
        return this.#digits(time.day);
      case Register.Month:
        return this.#digits(time.month);
      case Register.Year:
        return this.#digits(time.year % 100);
      default:
        return this.#digits(Math.floor(time.year / 100));
    }
  }

  #digits(value: number): number {
    if (this.#cmos[Register.B] & ControlB.Binary) return value;
    return (Math.floor(value / 10) << 4) | value % 10;
  }

  #decode(value: number): number {
    if (this.#cmos[Register.B] & ControlB.Binary) return value;
    return (value >> 4) * 10 + (value & 15);
  }

  #decodeHour(value: number): number {
    if (this.#cmos[Register.B] & ControlB.Hours24) return this.#decode(value);
    return this.#decode(value & ~AFTERNOON) % 12 + (value & AFTERNOON ? 12 : 0);
  }
}

const TIME_REGISTERS: readonly number[] = [
  Register.Seconds,
  Register.Minutes,
  Register.Hours,
  Register.Weekday,
  Register.Day,
  Register.Month,
  Register.Year,
  Register.Century,
];

function isTime(register: number): boolean {
  return register === Register.Century ||
    register >= Register.Weekday && register <= Register.Year ||
    register <= Register.Hours && register % 2 === 0;
}
