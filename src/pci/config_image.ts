import {
  BarFlag,
  barRegister,
  CapabilityId,
  Command,
  CONFIG_SIZE,
  Header,
  STATUS_CAPABILITIES,
} from "./config_registers.ts";

/** A function's identity. */
export interface FunctionIdentity {
  readonly vendor: number;
  readonly device: number;
  readonly revision?: number;
  /** 24 bits: class, subclass, programming interface. */
  readonly classCode: number;
  readonly subsystemVendor?: number;
  readonly subsystem?: number;
}

/** A function's configuration space after power-on, and which of its bits a guest may write. Plain data. */
export interface ConfigImage {
  readonly bytes: Uint8Array;
  readonly writable: Uint8Array;
}

/** A 64-bit memory BAR, which takes two of the six registers. */
export interface BarPlace {
  /** Of the lower register: 0, 2 or 4. */
  readonly index: number;
  /** A power of two, in bytes. */
  readonly size: number;
  /** Guest-physical address after power-on. */
  readonly address: number;
  readonly prefetchable?: boolean;
}

/** Capabilities follow the header. */
const FIRST_CAPABILITY = 0x40;
const HALF = 2 ** 32;

/** Puts a configuration space together, capability by capability. */
export class ConfigImageBuilder {
  readonly #bytes = new Uint8Array(CONFIG_SIZE);
  readonly #writable = new Uint8Array(CONFIG_SIZE);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #mask = new DataView(this.#writable.buffer);
  #next = FIRST_CAPABILITY;
  /** Where the offset of the next capability goes. */
  #link: number = Header.offset.capabilities;

  constructor(identity: FunctionIdentity) {
    const header = Header.at(this.#view);
    header.vendor = identity.vendor;
    header.device = identity.device;
    header.revision = identity.revision ?? 0;
    header.classCode = [0, 8, 16].map((shift) => identity.classCode >> shift);
    header.subsystemVendor = identity.subsystemVendor ?? 0;
    header.subsystem = identity.subsystem ?? 0;
    const mask = Header.at(this.#mask);
    mask.command = Command.Memory | Command.BusMaster | Command.InterruptDisable;
    mask.cacheLineSize = 0xff;
    mask.interruptLine = 0xff;
  }

  /** Adds a BAR. Its size follows from the bits that cannot be written. */
  bar({ index, size, address, prefetchable }: BarPlace): this {
    const low = barRegister(index);
    const flags = BarFlag.Memory64 | (prefetchable ? BarFlag.Prefetchable : 0);
    this.#view.setUint32(low, (address % HALF) | flags, true);
    this.#view.setUint32(low + 4, address / HALF, true);
    this.#mask.setUint32(low, size >= HALF ? 0 : -size, true);
    this.#mask.setUint32(low + 4, size > HALF ? -(size / HALF) : -1, true);
    return this;
  }

  /** Adds a capability whose bytes after id and link are `body`; returns its offset. */
  capability(
    id: number,
    body: Uint8Array,
    writable: Uint8Array = new Uint8Array(body.length),
  ): number {
    const at = this.#next;
    if (at + 2 + body.length > CONFIG_SIZE) throw new RangeError("the capabilities do not fit");
    this.#bytes[this.#link] = at;
    this.#bytes[at] = id;
    this.#link = at + 1;
    this.#bytes.set(body, at + 2);
    this.#writable.set(writable, at + 2);
    this.#next = Math.ceil((at + 2 + body.length) / 4) * 4;
    Header.at(this.#view).status |= STATUS_CAPABILITIES;
    return at;
  }

  /** Adds the MSI-X capability (PCI 3.0 §6.8.2); table and PBA are offsets in BAR `bar`. */
  msix(vectors: number, bar: number, table: number, pba: number): number {
    const body = new DataView(new ArrayBuffer(10));
    body.setUint16(0, vectors - 1, true);
    body.setUint32(2, table | bar, true);
    body.setUint32(6, pba | bar, true);
    const writable = new Uint8Array(10);
    // Enable and function mask.
    writable[1] = 0xc0;
    return this.capability(CapabilityId.Msix, new Uint8Array(body.buffer), writable);
  }

  /** The finished image. */
  build(): ConfigImage {
    return { bytes: this.#bytes, writable: this.#writable };
  }
}
