import {
  type AccessSize,
  BadState,
  type InterruptLine,
  type IoDevice,
  type MachineEvents,
  type SharedState,
  type StateArena,
  StateLock,
} from "../bus/mod.ts";
import { struct, u32, u8 } from "../codec/mod.ts";
import { ByteRing } from "./byte_ring.ts";
import {
  DLAB,
  Enable,
  FIFO_DEPTH,
  FifoControl,
  InterruptId,
  Line,
  Modem,
  Modems,
  Register,
  TRIGGER_LEVELS,
} from "./serial_registers.ts";

/** Output that waits for the main thread. */
export const OUTPUT_CAPACITY = 0x1_0000;
/** Input that waits for the guest. */
export const INPUT_CAPACITY = 0x1000;
/**
 * Below this much room the transmitter says that it is busy. A driver that was told otherwise sends up
 * to a FIFO of bytes without asking again, and consoles give up asking after ten milliseconds.
 */
const OUTPUT_RESERVE = 0x400;
/** How long a writer sleeps before it looks whether the machine still runs. */
const FULL_WAIT_MS = 20;

const Registers = struct({
  /** Counts what the main thread took, to wake a vCPU that waits for room. */
  drains: u32,
  interruptEnable: u8,
  fifoControl: u8,
  lineControl: u8,
  modemControl: u8,
  scratch: u8,
  divisorLow: u8,
  divisorHigh: u8,
  /** Line errors since LSR was read. */
  lineErrors: u8,
  /** Changes since MSR was read. */
  modemChanges: u8,
  /** The transmitter became empty and IIR has not told it yet. */
  emptyPending: u8,
  /** The guest was told that the transmitter is busy. */
  transmitBusy: u8,
  /** The host has input that did not fit. */
  inputRefused: u8,
  /** Level of the interrupt line. */
  level: u8,
  reserved: u8,
});

const LOOP_AT = 64;
const OUTPUT_AT = LOOP_AT + 64;
const INPUT_AT = OUTPUT_AT + ByteRing.size(OUTPUT_CAPACITY);
const STATE_SIZE = INPUT_AT + ByteRing.size(INPUT_CAPACITY);
const REGISTERS_AT = 8;

/** What a serial port needs from outside. */
export interface SerialWiring {
  readonly line: InterruptLine;
  /** Tells the main thread that there is output, or room again for refused input. */
  readonly wake: { signal(): void };
  readonly events: MachineEvents;
}

/**
 * A 16550A on eight ports. The wire is infinitely fast, so that the transmitter is empty at once,
 * unless the host does not keep up; then it is busy, and nothing is lost. Bytes for the guest are
 * offered when it listens: with the receive interrupt enabled or RTS raised. So nothing typed before
 * the driver starts is eaten by its probes. For the same reason clearing the receive FIFO clears only
 * what came by loopback.
 */
export class Serial implements IoDevice {
  readonly #state: SharedState;
  readonly #lock: StateLock;
  readonly #drains: number;
  readonly #r: ReturnType<typeof Registers.at>;
  readonly #loop: ByteRing;
  readonly #output: ByteRing;
  readonly #input: ByteRing;
  readonly #wiring: SerialWiring;

  /** Sets state aside and puts it in reset state. */
  static create(arena: StateArena): number {
    return arena.allocate(STATE_SIZE, 64);
  }

  constructor(state: SharedState, offset: number, wiring: SerialWiring) {
    this.#state = state;
    this.#lock = new StateLock(state, offset);
    this.#drains = (offset + REGISTERS_AT + Registers.offset.drains) / 4;
    this.#r = Registers.at(state.view, offset + REGISTERS_AT);
    this.#loop = new ByteRing(state, offset + LOOP_AT, FIFO_DEPTH);
    this.#output = new ByteRing(state, offset + OUTPUT_AT, OUTPUT_CAPACITY);
    this.#input = new ByteRing(state, offset + INPUT_AT, INPUT_CAPACITY);
    this.#wiring = wiring;
  }

  read(offset: number, _size: AccessSize): number {
    this.#lock.acquire();
    try {
      const value = this.#readRegister(offset);
      this.#updateLine();
      return value;
    } finally {
      this.#lock.release();
    }
  }

  write(offset: number, _size: AccessSize, value: number): void {
    this.#lock.acquire();
    try {
      this.#writeRegister(offset, value);
      this.#updateLine();
    } finally {
      this.#lock.release();
    }
  }

  /** Takes output, at most `most` bytes; a transmitter that was busy becomes empty. Main thread. */
  takeOutput(most: number): Uint8Array<ArrayBuffer> {
    this.#lock.acquire();
    try {
      const taken = this.#output.take(most);
      if (taken.length > 0) {
        Atomics.add(this.#state.words, this.#drains, 1);
        Atomics.notify(this.#state.words, this.#drains);
      }
      if (this.#r.transmitBusy && this.#hasRoom) {
        this.#r.transmitBusy = 0;
        this.#r.emptyPending = 1;
        this.#updateLine();
      }
      return taken;
    } finally {
      this.#lock.release();
    }
  }

  /** Queues input and returns how much was accepted; `wake` follows when there is room for the rest. Main thread. */
  offerInput(bytes: Uint8Array): number {
    this.#lock.acquire();
    try {
      const accepted = this.#input.put(bytes);
      if (accepted < bytes.length) this.#r.inputRefused = 1;
      this.#updateLine();
      return accepted;
    } finally {
      this.#lock.release();
    }
  }

  /**
   * After the state was replaced by a saved one, before anybody uses it: wires up what is outside of the state.
   *
   * @throws {BadState}
   */
  restored(): void {
    this.#lock.restored();
    if (!this.#loop.sound || !this.#output.sound || !this.#input.sound) {
      throw new BadState("the serial port", "a ring is fuller than it is large");
    }
    this.#wiring.line.set(this.#r.level ? 1 : 0);
    this.#wiring.wake.signal();
  }

  get #hasRoom(): boolean {
    return this.#output.room > OUTPUT_RESERVE;
  }

  get #looping(): boolean {
    return (this.#r.modemControl & Modem.Loop) !== 0;
  }

  get #divisorLatch(): boolean {
    return (this.#r.lineControl & DLAB) !== 0;
  }

  /** Bytes that the receiver offers. */
  get #received(): number {
    const listens = (this.#r.interruptEnable & Enable.Received) !== 0 ||
      (this.#r.modemControl & Modem.Rts) !== 0;
    const fromHost = listens && !this.#looping ? this.#input.count : 0;
    return this.#loop.count + fromHost;
  }

  #readRegister(offset: number): number {
    const r = this.#r;
    switch (offset) {
      case Register.Data:
        return this.#divisorLatch ? r.divisorLow : this.#receive();
      case Register.InterruptEnable:
        return this.#divisorLatch ? r.divisorHigh : r.interruptEnable;
      case Register.InterruptId: {
        const id = this.#pending();
        if (id === InterruptId.TransmitEmpty) r.emptyPending = 0;
        return id | (r.fifoControl & FifoControl.Enable ? InterruptId.FifosEnabled : 0);
      }
      case Register.LineControl:
        return r.lineControl;
      case Register.ModemControl:
        return r.modemControl;
      case Register.LineStatus: {
        const errors = r.lineErrors;
        r.lineErrors = 0;
        return errors | (this.#received > 0 ? Line.DataReady : 0) |
          (this.#hasRoom ? Line.HoldingEmpty | Line.TransmitterEmpty : 0);
      }
      case Register.ModemStatus: {
        const changes = r.modemChanges;
        r.modemChanges = 0;
        return this.#modemStatus() | changes;
      }
      default:
        return r.scratch;
    }
  }

  #writeRegister(offset: number, value: number): void {
    const r = this.#r;
    switch (offset) {
      case Register.Data:
        if (this.#divisorLatch) r.divisorLow = value;
        else this.#transmit(value);
        return;
      case Register.InterruptEnable:
        if (this.#divisorLatch) r.divisorHigh = value;
        else this.#enableInterrupts(value & Enable.All);
        return;
      case Register.InterruptId:
        // Switching the FIFOs on or off empties them, too.
        if (((value ^ r.fifoControl) & FifoControl.Enable) || (value & FifoControl.ClearReceiver)) {
          this.#loop.clear();
        }
        r.fifoControl = value & ~(FifoControl.ClearReceiver | FifoControl.ClearTransmitter);
        return;
      case Register.LineControl:
        r.lineControl = value;
        return;
      case Register.ModemControl: {
        const before = this.#modemStatus();
        r.modemControl = value & Modem.All;
        const after = this.#modemStatus();
        // RI reports only its end.
        const changed = (before ^ after) & ~(after & Modems.Ring);
        r.modemChanges |= changed >> 4;
        return;
      }
      case Register.Scratch:
        r.scratch = value;
        return;
    }
  }

  #enableInterrupts(enable: number): void {
    const r = this.#r;
    const newly = enable & ~r.interruptEnable;
    // Enabling it asks for an interrupt right away when the transmitter is empty.
    if ((newly & Enable.TransmitEmpty) && this.#hasRoom) r.emptyPending = 1;
    r.interruptEnable = enable;
  }

  #receive(): number {
    const looped = this.#loop.shift();
    if (looped >= 0) return looped;
    if (this.#received === 0) return 0;
    const byte = this.#input.shift();
    if (this.#r.inputRefused && this.#input.room >= INPUT_CAPACITY / 2) {
      this.#r.inputRefused = 0;
      this.#wiring.wake.signal();
    }
    return byte;
  }

  #transmit(byte: number): void {
    const r = this.#r;
    if (this.#looping) {
      const depth = r.fifoControl & FifoControl.Enable ? FIFO_DEPTH : 1;
      if (this.#loop.count >= depth) r.lineErrors |= Line.Overrun;
      else this.#loop.push(byte);
      r.emptyPending = 1;
      return;
    }
    // Only a guest that writes to a busy transmitter gets here: its vCPU waits for the terminal.
    while (this.#output.room === 0) {
      if (this.#wiring.events.stopping) return;
      this.#waitForRoom();
    }
    const first = this.#output.count === 0;
    this.#output.push(byte);
    if (this.#hasRoom) {
      r.emptyPending = 1;
    } else {
      r.emptyPending = 0;
      r.transmitBusy = 1;
    }
    if (first) this.#wiring.wake.signal();
  }

  #waitForRoom(): void {
    const seen = Atomics.load(this.#state.words, this.#drains);
    this.#lock.release();
    try {
      Atomics.wait(this.#state.words, this.#drains, seen, FULL_WAIT_MS);
    } finally {
      this.#lock.acquire();
    }
  }

  /** The modem is always there; in loopback it is our own MCR. */
  #modemStatus(): number {
    if (!this.#looping) return Modems.Cts | Modems.Dsr | Modems.Carrier;
    const control = this.#r.modemControl;
    return (control & Modem.Dtr ? Modems.Dsr : 0) | (control & Modem.Rts ? Modems.Cts : 0) |
      (control & Modem.Out1 ? Modems.Ring : 0) | (control & Modem.Out2 ? Modems.Carrier : 0);
  }

  /** The interrupt of the highest priority. */
  #pending(): number {
    const r = this.#r;
    const enable = r.interruptEnable;
    if ((enable & Enable.LineStatus) && r.lineErrors) return InterruptId.LineStatus;
    if (enable & Enable.Received) {
      const received = this.#received;
      const fifo = (r.fifoControl & FifoControl.Enable) !== 0;
      if (fifo && received > 0 && received < TRIGGER_LEVELS[r.fifoControl >> 6]) {
        return InterruptId.ReceivedTimeout;
      }
      if (received > 0) return InterruptId.Received;
    }
    if ((enable & Enable.TransmitEmpty) && r.emptyPending) return InterruptId.TransmitEmpty;
    if ((enable & Enable.ModemStatus) && r.modemChanges) return InterruptId.ModemStatus;
    return InterruptId.None;
  }

  #updateLine(): void {
    const level = this.#pending() === InterruptId.None ? 0 : 1;
    if (level === this.#r.level) return;
    this.#r.level = level;
    this.#wiring.line.set(level);
  }
}
