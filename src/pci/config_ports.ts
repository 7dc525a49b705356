import type { AccessSize, IoDevice, MachineEvents, SharedState, StateArena } from "../bus/mod.ts";
import type { PciRoot } from "./pci_root.ts";

/** Offsets from port 0xcf8. */
const Port = { Address: 0, ResetControl: 1, Data: 4 } as const;
const ENABLE = 0x8000_0000;
/** Bits of the address register that exist: enable, bus, device and function, register. */
const ADDRESS_BITS = 0x80ff_fffc;
/** Reset control register (Intel ICH, port 0xcf9): RST_CPU starts the reset that SYS_RST describes. */
const RESET_CPU = 0x04;
const RESET_BITS = 0x0e;

/**
 * Configuration mechanism #1 (PCI Local Bus 3.0 §3.2.2.3.2): address at 0xcf8, data at 0xcfc. The
 * address register takes 32-bit accesses only; a byte at 0xcf9 is the chipset's reset control.
 */
export class ConfigPorts implements IoDevice {
  readonly #words: Int32Array;
  readonly #address: number;
  readonly #root: PciRoot;
  readonly #events: MachineEvents;

  /** Sets two words aside: the address and the reset control. */
  static create(arena: StateArena): number {
    return arena.allocate(8);
  }

  constructor(state: SharedState, offset: number, root: PciRoot, events: MachineEvents) {
    this.#words = state.words;
    this.#address = offset / 4;
    this.#root = root;
    this.#events = events;
  }

  read(offset: number, size: AccessSize): number {
    if (offset >= Port.Data) {
      const address = Atomics.load(this.#words, this.#address);
      if (!selectsBus0(address)) return 0xffff_ffff;
      const register = (address & 0xfc) + offset - Port.Data;
      return this.#root.readConfig((address >> 8) & 0xff, register, size);
    }
    if (size === 4) return Atomics.load(this.#words, this.#address);
    if (size === 1 && offset === Port.ResetControl) {
      return Atomics.load(this.#words, this.#address + 1);
    }
    return 0xffff_ffff;
  }

  write(offset: number, size: AccessSize, value: number): void {
    if (offset >= Port.Data) {
      const address = Atomics.load(this.#words, this.#address);
      if (!selectsBus0(address)) return;
      const register = (address & 0xfc) + offset - Port.Data;
      this.#root.writeConfig((address >> 8) & 0xff, register, size, value);
    } else if (size === 4) {
      Atomics.store(this.#words, this.#address, value & ADDRESS_BITS);
    } else if (size === 1 && offset === Port.ResetControl) {
      Atomics.store(this.#words, this.#address + 1, value & RESET_BITS & ~RESET_CPU);
      if (value & RESET_CPU) this.#events.raise("reset");
    }
  }
}

function selectsBus0(address: number): boolean {
  return (address & ENABLE) !== 0 && (address & 0x00ff_0000) === 0;
}
