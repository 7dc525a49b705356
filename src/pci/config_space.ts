import type { AccessSize, SharedState } from "../bus/mod.ts";
import { barRegister, Command, CONFIG_SIZE, Header } from "./config_registers.ts";
import type { ConfigImage } from "./config_image.ts";

const HALF = 2 ** 32;

/** One function's configuration space in shared state. Writers hold the function's lock. */
export class ConfigSpace {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #offset: number;
  readonly #image: ConfigImage;

  static readonly size = CONFIG_SIZE;

  constructor(state: SharedState, offset: number, image: ConfigImage) {
    this.#view = state.view;
    this.#bytes = state.bytes;
    this.#offset = offset;
    this.#image = image;
  }

  /** Reads; beyond the space there are only ones. */
  read(offset: number, size: AccessSize): number {
    if (offset + size > CONFIG_SIZE) return 0xffff_ffff;
    const at = this.#offset + offset;
    if (size === 1) return this.#view.getUint8(at);
    return size === 2 ? this.#view.getUint16(at, true) : this.#view.getUint32(at, true);
  }

  /** Writes the bits that the guest may write. */
  write(offset: number, size: AccessSize, value: number): void {
    if (offset + size > CONFIG_SIZE) return;
    for (let i = 0; i < size; i++) {
      const at = this.#offset + offset + i;
      const writable = this.#image.writable[offset + i];
      this.#bytes[at] = (this.#bytes[at] & ~writable) | ((value >>> (8 * i)) & writable);
    }
  }

  /** Puts a register that the guest sees, but may not write, to a value. */
  poke32(offset: number, value: number): void {
    this.#view.setUint32(this.#offset + offset, value, true);
  }

  /** Back to the state after power-on. */
  reset(): void {
    this.#bytes.set(this.#image.bytes, this.#offset);
  }

  /** Memory space is on: BARs are decoded. */
  get decodes(): boolean {
    return (this.#bytes[this.#offset + Header.offset.command] & Command.Memory) !== 0;
  }

  /** The address in a 64-bit memory BAR; `index` is that of its lower register. */
  barAddress(index: number): number {
    const at = this.#offset + barRegister(index);
    const low = this.#view.getUint32(at, true) & ~0xf;
    return this.#view.getUint32(at + 4, true) * HALF + (low >>> 0);
  }
}
