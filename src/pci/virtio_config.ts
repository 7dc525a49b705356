import type { AccessSize, SharedState } from "../bus/mod.ts";
import type { ConfigRange, VirtioDevice } from "./virtio_device.ts";
import { MAX_CONFIG_SIZE } from "./virtio_layout.ts";
import { CONFIG_WRITES, ConfigWrite, DeviceState } from "./virtio_state.ts";

/** Device-specific configuration as the backend last told it. Needs the function's lock. */
export class VirtioConfig {
  readonly #device: VirtioDevice;
  readonly #view: DataView;
  readonly #bytes: number;
  readonly #writes: number;
  readonly #writable: readonly ConfigRange[];

  constructor(state: SharedState, device: VirtioDevice) {
    const { registers, writableConfig } = device.description;
    this.#device = device;
    this.#view = state.view;
    this.#bytes = registers + DeviceState.offset.config;
    this.#writes = registers + DeviceState.offset.configWrites;
    this.#writable = writableConfig;
  }

  /** Reads; beyond what the backend has there are zeros. */
  read(offset: number, size: AccessSize): number {
    if (offset + size > MAX_CONFIG_SIZE) return 0;
    const at = this.#bytes + offset;
    if (size === 1) return this.#view.getUint8(at);
    return size === 2 ? this.#view.getUint16(at, true) : this.#view.getUint32(at, true);
  }

  /**
   * Writes what the driver may write. It reads back at once (Linux looks whether its change of the cache
   * mode took), and the control thread tells the backend.
   */
  write(offset: number, size: AccessSize, value: number): void {
    if (!this.#mayWrite(offset, size)) return;
    const r = this.#device.registers;
    if (r.configWriteCount === CONFIG_WRITES) return;
    const at = this.#bytes + offset;
    if (size === 1) this.#view.setUint8(at, value);
    else if (size === 2) this.#view.setUint16(at, value, true);
    else this.#view.setUint32(at, value, true);
    const slot = (r.configWriteHead + r.configWriteCount) % CONFIG_WRITES;
    const entry = ConfigWrite.at(this.#view, this.#writes + slot * ConfigWrite.size);
    entry.offset = offset;
    entry.size = size;
    entry.value = value;
    r.configWriteCount++;
    this.#device.events.attention.signal();
  }

  /** Takes the oldest write that nobody has told the backend, if any. */
  takeWrite(): { offset: number; bytes: Uint8Array<ArrayBuffer> } | undefined {
    const r = this.#device.registers;
    if (r.configWriteCount === 0) return undefined;
    const entry = ConfigWrite.at(this.#view, this.#writes + r.configWriteHead * ConfigWrite.size);
    r.configWriteHead = (r.configWriteHead + 1) % CONFIG_WRITES;
    r.configWriteCount--;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, entry.value, true);
    return { offset: entry.offset, bytes: bytes.slice(0, entry.size) };
  }

  /** Replaces the bytes; false when they were the same. */
  replace(bytes: Uint8Array): boolean {
    const length = Math.min(bytes.length, MAX_CONFIG_SIZE);
    let changed = false;
    for (let i = 0; i < length; i++) {
      changed ||= this.#view.getUint8(this.#bytes + i) !== bytes[i];
      this.#view.setUint8(this.#bytes + i, bytes[i]);
    }
    return changed;
  }

  #mayWrite(offset: number, size: number): boolean {
    for (const range of this.#writable) {
      if (offset >= range.offset && offset + size <= range.offset + range.size) return true;
    }
    return false;
  }
}
