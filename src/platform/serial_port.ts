import type { EventFd } from "../os/mod.ts";
import { OUTPUT_CAPACITY, type Serial } from "./serial.ts";

/** The other end of the serial line, on the main thread. */
export class SerialPort {
  readonly #serial: Serial;

  /**
   * `wake` becomes readable when there is output after there was none, and when input that was refused
   * would be accepted now. After each wake-up: {@linkcode acknowledge}, {@linkcode drain} until it gives
   * nothing, and offer the refused input again.
   */
  constructor(serial: Serial, readonly wake: EventFd) {
    this.#serial = serial;
  }

  /** Resets the wake-up; to be called before looking. */
  acknowledge(): void {
    this.wake.drain();
  }

  /**
   * Takes up to `most` bytes of output. For what a caller leaves there is no further wake-up. While
   * nobody drains, the guest's transmitter becomes busy and output waits.
   */
  drain(most: number = OUTPUT_CAPACITY): Uint8Array<ArrayBuffer> {
    return this.#serial.takeOutput(most);
  }

  /** Gives the guest input; returns how many of the bytes were accepted. */
  input(bytes: Uint8Array): number {
    return this.#serial.offerInput(bytes);
  }
}
