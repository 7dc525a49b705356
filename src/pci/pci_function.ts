import { type AccessSize, type SharedState, StateLock } from "../bus/mod.ts";
import type { ConfigImage } from "./config_image.ts";
import { ConfigSpace } from "./config_space.ts";
import { Header } from "./config_registers.ts";

/** A BAR of a function: `index` of its lower register and its size in bytes. */
export interface Bar {
  readonly index: number;
  readonly size: number;
}

/** What every function has, as plain data. */
export interface FunctionBase {
  /** Device number on bus 0, 0 to 31; all functions are function 0. */
  readonly slot: number;
  readonly image: ConfigImage;
  readonly bars: readonly Bar[];
  /** Offset of the lock word, which the configuration space follows. */
  readonly state: number;
}

/** Configuration space follows the lock in a cache line of its own. */
const CONFIG_AT = 64;
/** End of the registers that decide what is decoded: command and BARs. */
const DECODE_END = Header.offset.cardbus;

/**
 * A PCI function: configuration space, and memory behind BARs. Every access holds the function's lock,
 * except that decoding looks at command register and BARs without it: a guest that moves a BAR while
 * another of its vCPUs uses it gets either place, as on a real bus.
 */
export class PciFunction {
  readonly slot: number;
  readonly bars: readonly Bar[];
  protected readonly lock: StateLock;
  protected readonly config: ConfigSpace;

  /** Bytes of state for what is common to all functions; a multiple of 64. */
  static readonly stateSize = CONFIG_AT + ConfigSpace.size;
  /** Where in that configuration space is. */
  static readonly configAt = CONFIG_AT;

  constructor(state: SharedState, description: FunctionBase) {
    this.slot = description.slot;
    this.bars = description.bars;
    this.lock = new StateLock(state, description.state);
    this.config = new ConfigSpace(state, description.state + CONFIG_AT, description.image);
  }

  /** After the state was replaced by a saved one, before anybody uses it. Throws BadState. */
  restored(): void {
    this.lock.restored();
  }

  /** Reads configuration space. `offset` is aligned to `size`. */
  readConfig(offset: number, size: AccessSize): number {
    this.lock.acquire();
    try {
      this.beforeConfigRead(offset, size);
      return this.config.read(offset, size);
    } finally {
      this.lock.release();
    }
  }

  /** Writes configuration space. `offset` is aligned to `size`. */
  writeConfig(offset: number, size: AccessSize, value: number): void {
    this.lock.acquire();
    try {
      this.config.write(offset, size, value);
      if (offset >= Header.offset.command && offset < DECODE_END) this.decodeChanged();
      this.configWritten(offset, size);
    } finally {
      this.lock.release();
    }
  }

  /** Position in {@linkcode bars} of the BAR at `address`, -1 if none. */
  decode(address: number): number {
    if (!this.config.decodes) return -1;
    for (let i = 0; i < this.bars.length; i++) {
      const offset = address - this.config.barAddress(this.bars[i].index);
      if (offset >= 0 && offset < this.bars[i].size) return i;
    }
    return -1;
  }

  /** Reads behind a BAR that {@linkcode decode} found. */
  readMemory(bar: number, address: number, size: AccessSize): number {
    this.lock.acquire();
    try {
      const offset = this.#offsetIn(bar, address);
      return offset < 0 ? 0xffff_ffff : this.readBar(bar, offset, size);
    } finally {
      this.lock.release();
    }
  }

  /** Writes behind a BAR that {@linkcode decode} found. */
  writeMemory(bar: number, address: number, size: AccessSize, value: number): void {
    this.lock.acquire();
    try {
      const offset = this.#offsetIn(bar, address);
      if (offset >= 0) this.writeBar(bar, offset, size, value);
    } finally {
      this.lock.release();
    }
  }

  /** The BAR may have moved since it was decoded. */
  #offsetIn(bar: number, address: number): number {
    const offset = address - this.config.barAddress(this.bars[bar].index);
    return offset >= 0 && offset < this.bars[bar].size ? offset : -1;
  }

  // What kinds of functions add, each called under the lock; bars are positions in `bars`.

  /** BARs moved, or decoding went on or off. */
  protected decodeChanged(): void {}
  /** Registers that are made up when read. */
  protected beforeConfigRead(_offset: number, _size: AccessSize): void {}
  /** Registers beyond the header that act. */
  protected configWritten(_offset: number, _size: AccessSize): void {}
  protected readBar(_bar: number, _offset: number, _size: AccessSize): number {
    return 0xffff_ffff;
  }
  protected writeBar(_bar: number, _offset: number, _size: AccessSize, _value: number): void {}
}
