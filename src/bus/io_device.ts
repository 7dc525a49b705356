/** Width of an access in bytes as a device sees it; wider ones are split by the bus. */
export type AccessSize = 1 | 2 | 4;

/** A device on a bus. Offsets count from the start of its range and are aligned to the access size. */
export interface IoDevice {
  /** The value, unsigned; bits above `8 * size` are dropped by the bus. Must not throw. */
  read(offset: number, size: AccessSize): number;
  /** `value` is unsigned and fits in `size`. Must not throw. */
  write(offset: number, size: AccessSize, value: number): void;
}

/** The addresses of a device. */
export interface BusRange {
  /** First address. */
  readonly base: number;
  /** Length in bytes. */
  readonly size: number;
  /** The widest access that the device takes; 4 unless told. ISA devices take 1. */
  readonly width?: AccessSize;
}

/** Takes writes and answers reads with all ones: addresses that guests are known to poke. */
export class IgnoredDevice implements IoDevice {
  read(_offset: number, _size: AccessSize): number {
    return 0xffff_ffff;
  }
  write(_offset: number, _size: AccessSize, _value: number): void {}
}
