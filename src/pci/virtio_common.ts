import type { AccessSize } from "../bus/mod.ts";
import { DeviceStatus } from "../virtio/mod.ts";
import { NO_VECTOR } from "./msix.ts";
import type { VirtioDevice } from "./virtio_device.ts";
import { CommonLayout } from "./virtio_layout.ts";
import type { QueueView } from "./virtio_queues.ts";
import { Phase } from "./virtio_state.ts";

const At = CommonLayout.offset;
const HALF = 2 ** 32;

/**
 * The common configuration structure (virtio 1.2 §4.1.4.3). A driver accesses each field at its own
 * width, 64-bit ones as two halves (§4.1.3.1); other accesses read as zero and write nothing.
 */
export class VirtioCommon {
  constructor(readonly device: VirtioDevice) {}

  read(offset: number, size: AccessSize): number {
    switch (size) {
      case 1:
        return this.#read8(offset);
      case 2:
        return this.#read16(offset);
      case 4:
        return this.#read32(offset);
    }
  }

  write(offset: number, size: AccessSize, value: number): void {
    if (offset === At.deviceStatus && size === 1) return this.device.setStatus(value);
    // While a reset is under way nothing else is heard.
    if (this.device.registers.phase === Phase.Resetting) return;
    if (size === 2) this.#write16(offset, value);
    else if (size === 4) this.#write32(offset, value);
  }

  #read8(offset: number): number {
    if (offset === At.deviceStatus) return this.device.registers.status;
    return offset === At.configGeneration ? this.device.registers.generation : 0;
  }

  #read16(offset: number): number {
    const { registers: r, msix } = this.device;
    switch (offset) {
      case At.configMsixVector:
        return msix.vector(this.device.configSource);
      case At.queueCount:
        return r.queueCount;
      case At.queueSelect:
        return r.queueSelect;
      // Nearly all drivers read these at once; a queue that does not exist has size 0.
      case At.queueSize:
        return this.#queue?.size ?? 0;
      case At.queueMsixVector:
        return this.#queue === undefined ? NO_VECTOR : msix.vector(r.queueSelect);
      case At.queueEnable:
        return this.#queue?.enabled ?? 0;
      case At.queueNotifyOff:
        return this.#queue === undefined ? 0 : r.queueSelect;
      default:
        return 0;
    }
  }

  #read32(offset: number): number {
    const r = this.device.registers;
    switch (offset) {
      case At.deviceFeatureSelect:
        return r.deviceFeatureSelect;
      case At.deviceFeature:
        return half(r.deviceFeatureSelect, r.offeredLow, r.offeredHigh);
      case At.driverFeatureSelect:
        return r.driverFeatureSelect;
      case At.driverFeature:
        return half(r.driverFeatureSelect, r.driverLow, r.driverHigh);
    }
    const queue = this.#queue;
    if (queue === undefined) return 0;
    switch (offset) {
      case At.queueDesc:
        return queue.desc % HALF;
      case At.queueDesc + 4:
        return Math.floor(queue.desc / HALF);
      case At.queueDriver:
        return queue.driver % HALF;
      case At.queueDriver + 4:
        return Math.floor(queue.driver / HALF);
      case At.queueDevice:
        return queue.device % HALF;
      case At.queueDevice + 4:
        return Math.floor(queue.device / HALF);
      default:
        return 0;
    }
  }

  #write16(offset: number, value: number): void {
    const { registers: r, msix } = this.device;
    const queue = this.#queue;
    switch (offset) {
      case At.configMsixVector:
        return msix.setVector(this.device.configSource, value);
      case At.queueSelect:
        r.queueSelect = value;
        return;
      case At.queueSize:
        if (queue !== undefined && !queue.enabled) queue.size = value;
        return;
      case At.queueMsixVector:
        if (queue !== undefined) msix.setVector(r.queueSelect, value);
        return;
      case At.queueEnable:
        if (queue !== undefined && value === 1) this.device.enableQueue(r.queueSelect);
        return;
    }
  }

  #write32(offset: number, value: number): void {
    const r = this.device.registers;
    switch (offset) {
      case At.deviceFeatureSelect:
        r.deviceFeatureSelect = value;
        return;
      case At.driverFeatureSelect:
        r.driverFeatureSelect = value;
        return;
      case At.driverFeature:
        // What was agreed on stays.
        if (r.status & DeviceStatus.FeaturesOk) return;
        if (r.driverFeatureSelect === 0) r.driverLow = value;
        else if (r.driverFeatureSelect === 1) r.driverHigh = value;
        return;
    }
    const queue = this.#queue;
    if (queue === undefined || queue.enabled) return;
    switch (offset) {
      case At.queueDesc:
        queue.desc = withLow(queue.desc, value);
        return;
      case At.queueDesc + 4:
        queue.desc = withHigh(queue.desc, value);
        return;
      case At.queueDriver:
        queue.driver = withLow(queue.driver, value);
        return;
      case At.queueDriver + 4:
        queue.driver = withHigh(queue.driver, value);
        return;
      case At.queueDevice:
        queue.device = withLow(queue.device, value);
        return;
      case At.queueDevice + 4:
        queue.device = withHigh(queue.device, value);
        return;
    }
  }

  /** The selected queue, if there is one. */
  get #queue(): QueueView | undefined {
    const { queueSelect, queueCount } = this.device.registers;
    return queueSelect < queueCount ? this.device.queues.at(queueSelect) : undefined;
  }
}

function half(select: number, low: number, high: number): number {
  return select === 0 ? low : select === 1 ? high : 0;
}

function withLow(value: number, low: number): number {
  return Math.floor(value / HALF) * HALF + low;
}

/** An address that a number cannot hold exactly is outside of memory, so its lost low bits do not matter. */
function withHigh(value: number, high: number): number {
  return high * HALF + value % HALF;
}
