import type { AccessSize, IoDevice } from "../bus/mod.ts";
import type { PciFunction } from "./pci_function.ts";

const SLOTS = 32;
const ALL_ONES = 0xffff_ffff;

/** Bus 0: finds a function by its number, or by the address in one of its BARs. */
export class PciRoot {
  readonly functions: readonly PciFunction[];
  readonly #slots: (PciFunction | undefined)[] = new Array(SLOTS).fill(undefined);

  constructor(functions: readonly PciFunction[]) {
    this.functions = functions;
    for (const pci of functions) this.#slots[pci.slot] = pci;
  }

  /** `devfn` is device number and function number, as in a configuration address. */
  readConfig(devfn: number, offset: number, size: AccessSize): number {
    const pci = devfn % 8 === 0 ? this.#slots[devfn >> 3] : undefined;
    return pci === undefined ? ALL_ONES : pci.readConfig(offset, size);
  }

  writeConfig(devfn: number, offset: number, size: AccessSize, value: number): void {
    const pci = devfn % 8 === 0 ? this.#slots[devfn >> 3] : undefined;
    if (pci !== undefined) pci.writeConfig(offset, size, value);
  }

  readMemory(address: number, size: AccessSize): number {
    for (let i = 0; i < this.functions.length; i++) {
      const bar = this.functions[i].decode(address);
      if (bar >= 0) return this.functions[i].readMemory(bar, address, size);
    }
    return ALL_ONES;
  }

  writeMemory(address: number, size: AccessSize, value: number): void {
    for (let i = 0; i < this.functions.length; i++) {
      const bar = this.functions[i].decode(address);
      if (bar >= 0) return this.functions[i].writeMemory(bar, address, size, value);
    }
  }
}

/** Configuration space as memory (ECAM, PCI Express 6.0 §7.2.2), bus 0 only: 4 KiB per function. */
export class Ecam implements IoDevice {
  constructor(readonly root: PciRoot) {}

  read(offset: number, size: AccessSize): number {
    return this.root.readConfig((offset >> 12) & 0xff, offset & 0xfff, size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.root.writeConfig((offset >> 12) & 0xff, offset & 0xfff, size, value);
  }
}

/** A range of memory addresses that the guest hands out to BARs. */
export class PciWindow implements IoDevice {
  constructor(readonly root: PciRoot, readonly base: number) {}

  read(offset: number, size: AccessSize): number {
    return this.root.readMemory(this.base + offset, size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.root.writeMemory(this.base + offset, size, value);
  }
}
