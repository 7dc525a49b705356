import type { AccessSize, SharedState } from "../bus/mod.ts";
import { type FunctionBase, PciFunction } from "./pci_function.ts";
import { VirtioCommon } from "./virtio_common.ts";
import { VirtioConfig } from "./virtio_config.ts";
import { VirtioDevice, type VirtioDeviceDescription, type VirtioWiring } from "./virtio_device.ts";
import { type MemorySlots, SharedMemory, type SharedMemoryDescription } from "./shared_memory.ts";
import { DOORBELL_STRIDE, SHARED_MEMORY_BAR, VirtioBar, VirtioCap } from "./virtio_layout.ts";
import { Fault } from "./virtio_state.ts";

/** A virtio function, as plain data. */
export interface VirtioPciDescription extends FunctionBase {
  readonly device: VirtioDeviceDescription;
  /** Offset in configuration space of the capability for access without a mapped BAR (§4.1.4.9). */
  readonly accessCapability: number;
  readonly sharedMemory: SharedMemoryDescription | undefined;
}

/** Fields of that capability, from its start (two generic bytes, then VirtioCap, then the data). */
const Access = {
  bar: 2 + VirtioCap.offset.bar,
  offset: 2 + VirtioCap.offset.offset,
  size: 2 + VirtioCap.offset.size,
  data: 2 + VirtioCap.size,
} as const;

/** A virtio device behind PCI (virtio 1.2 §4.1), modern interface only. */
export class VirtioPci extends PciFunction {
  readonly device: VirtioDevice;
  readonly deviceConfig: VirtioConfig;
  readonly sharedMemory: SharedMemory | undefined;
  readonly #common: VirtioCommon;
  readonly #access: number;
  readonly #msixCapability: number;

  constructor(
    state: SharedState,
    description: VirtioPciDescription,
    wiring: Omit<VirtioWiring, "space"> & { readonly slots: MemorySlots },
  ) {
    super(state, description);
    const { sharedMemory } = description;
    this.sharedMemory = sharedMemory && new SharedMemory(state, sharedMemory, wiring.slots);
    this.device = new VirtioDevice(state, description.device, { ...wiring, space: this.config });
    this.deviceConfig = new VirtioConfig(state, this.device);
    this.#common = new VirtioCommon(this.device);
    this.#access = description.accessCapability;
    this.#msixCapability = description.device.msix.capability;
  }

  /** Runs `action` under the function's lock; for the control thread. */
  locked<T>(action: () => T): T {
    return this.lock.run(action);
  }

  override restored(): void {
    super.restored();
    this.locked(() => {
      this.device.restored();
      this.sharedMemory?.restored();
      this.decodeChanged();
    });
  }

  protected override decodeChanged(): void {
    this.device.placeDoorbells();
    const base = this.config.decodes ? this.config.barAddress(SHARED_MEMORY_BAR) : 0;
    if (this.sharedMemory?.move(base) === false) this.device.note(Fault.SharedMemory);
  }

  protected override beforeConfigRead(offset: number, size: AccessSize): void {
    const data = this.#access + Access.data;
    if (offset < data + 4 && offset + size > data) this.#accessBar(true);
  }

  protected override configWritten(offset: number, size: AccessSize): void {
    const control = this.#msixCapability + 2;
    if (offset < control + 2 && offset + size > control) this.device.msix.controlChanged();
    const data = this.#access + Access.data;
    if (offset < data + 4 && offset + size > data) this.#accessBar(false);
  }

  protected override readBar(bar: number, offset: number, size: AccessSize): number {
    // Shared memory where nothing is mapped.
    if (bar !== 0) return 0xffff_ffff;
    const page = offset - offset % VirtioBar.pageSize;
    const rest = offset - page;
    switch (page) {
      case VirtioBar.common:
        return this.#common.read(rest, size);
      case VirtioBar.isr: {
        if (rest !== 0) return 0;
        const isr = this.device.registers.isr;
        this.device.registers.isr = 0;
        return isr;
      }
      case VirtioBar.device:
        return this.deviceConfig.read(rest, size);
      case VirtioBar.msixTable:
        return this.device.msix.readTable(rest, size);
      case VirtioBar.msixPba:
        return this.device.msix.readPba(rest, size);
      default:
        return 0;
    }
  }

  protected override writeBar(bar: number, offset: number, size: AccessSize, value: number): void {
    if (bar !== 0) return;
    const page = offset - offset % VirtioBar.pageSize;
    const rest = offset - page;
    switch (page) {
      case VirtioBar.common:
        return this.#common.write(rest, size, value);
      case VirtioBar.device:
        return this.deviceConfig.write(rest, size, value);
      case VirtioBar.notify:
        return this.device.kick(Math.floor(rest / DOORBELL_STRIDE));
      case VirtioBar.msixTable:
        return this.device.msix.writeTable(rest, size, value);
    }
  }

  /** The driver reads or writes the BAR by way of configuration space. */
  #accessBar(reads: boolean): void {
    const at = this.#access;
    const bar = this.config.read(at + Access.bar, 1);
    const offset = this.config.read(at + Access.offset, 4);
    const size = this.config.read(at + Access.size, 4);
    if (bar !== VirtioBar.index || (size !== 1 && size !== 2 && size !== 4)) return;
    if (offset % size !== 0 || offset + size > VirtioBar.size) return;
    const data = at + Access.data;
    if (reads) this.config.poke32(data, this.readBar(0, offset, size));
    else this.writeBar(0, offset, size, this.config.read(data, size));
  }
}
