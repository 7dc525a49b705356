/** Registers and bits of a 16550A (TL16C550 and PC16550D data sheets); names as there. */

/** Offsets from the base port. Some mean another register with DLAB set, or for reads. */
export const Register = {
  /** RBR (read), THR (write); DLL with DLAB */ Data: 0,
  /** IER; DLM with DLAB */ InterruptEnable: 1,
  /** IIR (read), FCR (write) */ InterruptId: 2,
  /** LCR */ LineControl: 3,
  /** MCR */ ModemControl: 4,
  /** LSR */ LineStatus: 5,
  /** MSR */ ModemStatus: 6,
  /** SCR */ Scratch: 7,
} as const;

/** IER */
export const Enable = {
  /** ERBFI */ Received: 1,
  /** ETBEI */ TransmitEmpty: 2,
  /** ELSI */ LineStatus: 4,
  /** EDSSI */ ModemStatus: 8,
  All: 15,
} as const;

/** IIR, in the order of priority from LineStatus on. */
export const InterruptId = {
  None: 1,
  LineStatus: 6,
  Received: 4,
  /** Fewer bytes than the trigger level, and no more coming. */ ReceivedTimeout: 12,
  TransmitEmpty: 2,
  ModemStatus: 0,
  FifosEnabled: 0xc0,
} as const;

/** FCR */
export const FifoControl = { Enable: 1, ClearReceiver: 2, ClearTransmitter: 4 } as const;

/** Receiver trigger levels, by FCR bits 6 and 7. */
export const TRIGGER_LEVELS: readonly number[] = [1, 4, 8, 14];
export const FIFO_DEPTH = 16;

/** LCR: divisor latch access bit. */
export const DLAB = 0x80;

/** MCR */
export const Modem = { Dtr: 1, Rts: 2, Out1: 4, Out2: 8, Loop: 16, All: 31 } as const;

/** LSR */
export const Line = {
  DataReady: 1,
  Overrun: 2,
  /** THRE */ HoldingEmpty: 0x20,
  /** TEMT */ TransmitterEmpty: 0x40,
} as const;

/** MSR; the lower four bits are the changes of the upper four. */
export const Modems = {
  RingTrailingEdge: 4,
  Cts: 0x10,
  Dsr: 0x20,
  Ring: 0x40,
  Carrier: 0x80,
} as const;
