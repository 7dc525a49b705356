import {
  type AccessSize,
  type IoDevice,
  type MachineEvents,
  type SharedState,
  type StateArena,
  StateLock,
} from "../bus/mod.ts";
import { struct, u32, u8 } from "../codec/mod.ts";

/** Offsets from port 0x60. */
const Port = { Data: 0, Status: 4 } as const;
/** Status register: a byte waits for the host; input full never shows, since we take bytes at once. */
const OUTPUT_FULL = 1;

/** Controller commands (IBM PC/AT Technical Reference, keyboard controller). */
const Command = {
  ReadConfiguration: 0x20,
  WriteConfiguration: 0x60,
  TestAuxiliary: 0xa9,
  SelfTest: 0xaa,
  TestKeyboard: 0xab,
  AuxiliaryLoop: 0xd3,
  WriteToAuxiliary: 0xd4,
  /** Pulse output line 0: the processor's reset. */
  Reset: 0xfe,
} as const;

const SELF_TEST_PASSED = 0x55;
/** Clock line stuck low: nothing is plugged in. */
const PORT_DEAD = 1;
/** A device that does not understand. */
const RESEND = 0xfe;
/** Both ports disabled. */
const DEFAULT_CONFIGURATION = 0x30;

const State = struct({
  lock: u32,
  configuration: u8,
  /** The command that waits for its data byte, 0 for none. */
  command: u8,
  output: u8,
  outputFull: u8,
});

/**
 * A keyboard controller with nothing plugged in, at ports 0x60 and 0x64. Guests use it to reset the
 * machine; whoever looks for a keyboard gets prompt answers, since waiting for one costs them
 * tens of thousands of exits.
 */
export class I8042 implements IoDevice {
  readonly #lock: StateLock;
  readonly #s: ReturnType<typeof State.at>;
  readonly #events: MachineEvents;

  /** Sets state aside and puts it in reset state. */
  static create(arena: StateArena): number {
    const offset = arena.allocate(State.size, 64);
    State.at(arena.state.view, offset).configuration = DEFAULT_CONFIGURATION;
    return offset;
  }

  constructor(state: SharedState, offset: number, events: MachineEvents) {
    this.#lock = new StateLock(state, offset + State.offset.lock);
    this.#s = State.at(state.view, offset);
    this.#events = events;
  }

  /** After the state was replaced by a saved one. */
  restored(): void {
    this.#lock.restored();
  }

  read(offset: number, _size: AccessSize): number {
    this.#lock.acquire();
    try {
      if (offset === Port.Status) return this.#s.outputFull ? OUTPUT_FULL : 0;
      if (offset !== Port.Data) return 0xff;
      this.#s.outputFull = 0;
      return this.#s.output;
    } finally {
      this.#lock.release();
    }
  }

  write(offset: number, _size: AccessSize, value: number): void {
    this.#lock.acquire();
    try {
      if (offset === Port.Status) this.#take(value);
      else if (offset === Port.Data) this.#takeData(value);
    } finally {
      this.#lock.release();
    }
  }

  #take(command: number): void {
    this.#s.command = 0;
    switch (command) {
      case Command.ReadConfiguration:
        return this.#answer(this.#s.configuration);
      case Command.SelfTest:
        return this.#answer(SELF_TEST_PASSED);
      case Command.TestKeyboard:
      case Command.TestAuxiliary:
        return this.#answer(PORT_DEAD);
      case Command.WriteConfiguration:
      case Command.AuxiliaryLoop:
      case Command.WriteToAuxiliary:
        this.#s.command = command;
        return;
      case Command.Reset:
        this.#events.raise("reset");
        return;
    }
  }

  #takeData(value: number): void {
    const command = this.#s.command;
    this.#s.command = 0;
    if (command === Command.WriteConfiguration) this.#s.configuration = value;
    else if (command === Command.AuxiliaryLoop) this.#answer(value ^ 0xff);
    else this.#answer(RESEND);
  }

  #answer(byte: number): void {
    this.#s.output = byte;
    this.#s.outputFull = 1;
  }
}
