import type { EventFd } from "../os/mod.ts";
import { DeviceStatus, Feature, MAX_QUEUE_SIZE } from "../virtio/mod.ts";
import type { VirtioEvents } from "./virtio_device.ts";
import type { SharedMapping } from "./shared_memory.ts";
import { MAX_CONFIG_SIZE } from "./virtio_layout.ts";
import type { VirtioPci } from "./virtio_pci.ts";
import { Attention, Fault, type FaultCode, Phase } from "./virtio_state.ts";

/** A queue as the driver set it up; addresses are guest-physical and were checked against RAM. */
export interface ActiveQueue {
  readonly index: number;
  /** Entries, a power of two. */
  readonly size: number;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  /** Where in the available ring the backend begins. */
  readonly base: number;
}

/** What a backend has to be started with. */
export interface Activation {
  /** The features that driver and device agreed on. */
  readonly features: bigint;
  /** The enabled queues, in order. */
  readonly queues: readonly ActiveQueue[];
}

/** Something that a device's driver wants of the control thread. */
export type VirtioRequest =
  /** Start the backend. */
  | { readonly kind: "activate" } & Activation
  /** Stop the backend, then call `completeReset`; until then the driver waits. */
  | { readonly kind: "reset" }
  /** Tell the backend of a changed configuration field. */
  | { readonly kind: "config-write"; readonly offset: number; readonly bytes: Uint8Array }
  /** Something went wrong; for the log, there is nothing to do. */
  | { readonly kind: "fault"; readonly fault: FaultCode; readonly reason: string };

/** What a backend has told about its device. */
export interface Offer {
  readonly features: bigint;
  /** The largest size of each queue, a power of two; the length is the number of queues. */
  readonly queueSizes: readonly number[];
  /** Device-specific configuration. */
  readonly config: Uint8Array;
}

/** A backend offers what the transport cannot present. */
export class OfferError extends Error {
  override readonly name = "OfferError";
}

/** Bits of device types, virtio 1.2 §6: 0 to 23 and 50 to 63. */
const DEVICE_FEATURES = 0xfffc_0000_00ff_ffffn;
/**
 * What a backend may offer to a driver through us. Not among it: packed rings, whose layout we do not check;
 * bits that change the transport (SR_IOV, notification data, queue reset); legacy bits, of which vhost
 * has made some its own (26, 30).
 */
const PASSED = DEVICE_FEATURES | Feature.IndirectDesc | Feature.EventIdx | Feature.Version1 |
  Feature.AccessPlatform | Feature.InOrder | Feature.OrderPlatform;

const REASONS: Readonly<Record<FaultCode, string>> = {
  [Fault.None]: "nothing",
  [Fault.DriverOkTooEarly]: "the driver set DRIVER_OK before features were agreed on",
  [Fault.QueueSize]: "the driver gave a queue an impossible size",
  [Fault.QueueAddress]: "the driver put a queue outside of memory",
  [Fault.Backend]: "the backend broke the protocol",
  [Fault.Interrupt]: "the host refused an interrupt route",
  [Fault.Doorbell]: "the host refused an ioeventfd; kicks take the slow way",
  [Fault.SharedMemory]: "the host refused shared memory where the driver put its BAR",
};

/** The control thread's side of a virtio device: it starts, stops and repeats the backend as the driver wants. */
export class VirtioPciControl {
  readonly #pci: VirtioPci;

  constructor(readonly name: string, pci: VirtioPci, readonly events: VirtioEvents) {
    this.#pci = pci;
  }

  /** Readable when {@linkcode poll} has something. */
  get attention(): EventFd {
    return this.events.attention;
  }

  /** Presents a negotiated backend to the driver, before the guest runs. Throws OfferError. */
  setOffered({ features, queueSizes, config }: Offer): void {
    const { device, deviceConfig } = this.#pci;
    if ((features & Feature.Version1) === 0n) {
      throw new OfferError(`The backend of ${this.name} does not offer VIRTIO_F_VERSION_1`);
    }
    if (queueSizes.length > device.queues.capacity) {
      throw new OfferError(
        `The backend of ${this.name} has ${queueSizes.length} queues, ` +
          `the device was made for ${device.queues.capacity}`,
      );
    }
    for (const size of queueSizes) {
      if (size < 1 || size > MAX_QUEUE_SIZE || (size & (size - 1)) !== 0) {
        throw new OfferError(`The backend of ${this.name} has a queue of ${size} entries`);
      }
    }
    const passed = features & PASSED;
    this.#pci.locked(() => {
      const r = device.registers;
      r.offeredLow = Number(passed & 0xffff_ffffn);
      r.offeredHigh = Number(passed >> 32n);
      r.queueCount = queueSizes.length;
      for (let i = 0; i < device.queues.capacity; i++) {
        const queue = device.queues.at(i);
        queue.maxSize = queueSizes[i] ?? 0;
        if (!queue.enabled) queue.size = queue.maxSize;
      }
      r.configSize = Math.min(config.length, MAX_CONFIG_SIZE);
      if (deviceConfig.replace(config)) r.generation = (r.generation + 1) & 0xff;
    });
  }

  /** What a restored driver was offered, and has accepted of it. */
  offered(): { accepted: bigint; queueCount: number; config: Uint8Array } {
    return this.#pci.locked(() => {
      const { queueCount, configSize, config } = this.#pci.device.registers;
      return { accepted: this.#features, queueCount, config: config.slice(0, configSize) };
    });
  }

  /** The next thing to do, undefined when there is none. Call it until then after each wake-up. */
  poll(): VirtioRequest | undefined {
    const { device, deviceConfig } = this.#pci;
    this.attention.drain();
    return this.#pci.locked((): VirtioRequest | undefined => {
      const r = device.registers;
      if (r.attention & Attention.Fault) {
        r.attention &= ~Attention.Fault;
        const fault = r.fault as FaultCode;
        return { kind: "fault", fault, reason: REASONS[fault] };
      }
      if (r.attention & Attention.Reset) {
        r.attention &= ~Attention.Reset;
        return { kind: "reset" };
      }
      if (r.attention & Attention.Activate) {
        r.attention &= ~Attention.Activate;
        r.phase = Phase.Active;
        return { kind: "activate", ...this.#activation() };
      }
      const write = deviceConfig.takeWrite();
      return write && { kind: "config-write", ...write };
    });
  }

  /** What the backend runs with, for starting it again; undefined when the driver does not use the device. */
  activation(): Activation | undefined {
    return this.#pci.locked(() =>
      this.#pci.device.registers.phase === Phase.Active ? this.#activation() : undefined
    );
  }

  /** What the driver has set up so far, for a person who looks: every queue, enabled or not. */
  driver(): { features: bigint; queues: (ActiveQueue & { readonly enabled: boolean })[] } {
    return this.#pci.locked(() => {
      const { registers, queues } = this.#pci.device;
      return {
        features: this.#features,
        queues: Array.from({ length: registers.queueCount }, (_, index) => {
          const { enabled, size, desc, driver, device, base } = queues.at(index);
          return { index, enabled: enabled !== 0, size, desc, avail: driver, used: device, base };
        }),
      };
    });
  }

  /** Remembers where a stopped backend left a queue, for the next activation. */
  saveBase(index: number, base: number): void {
    this.#pci.locked(() => {
      if (index < this.#pci.device.queues.capacity) this.#pci.device.queues.at(index).base = base;
    });
  }

  /** The backend has stopped, or is gone: the driver may go on after its reset. */
  completeReset(): void {
    this.#pci.locked(() => {
      if (this.#pci.device.registers.phase === Phase.Resetting) this.#pci.device.finishReset();
    });
  }

  /** The backend's configuration is now this; the driver is told if it differs. */
  updateConfig(bytes: Uint8Array): void {
    const { device, deviceConfig } = this.#pci;
    this.#pci.locked(() => {
      if (!deviceConfig.replace(bytes)) return;
      const r = device.registers;
      r.generation = (r.generation + 1) & 0xff;
      if (r.status & DeviceStatus.DriverOk) device.configChanged();
    });
  }

  /** Shows memory of this process in a shared memory region of the device; see {@linkcode SharedMemory.map}. */
  mapShared(mapping: SharedMapping): boolean {
    return this.#pci.locked(() => this.#pci.sharedMemory?.map(mapping) ?? false);
  }

  /** Where the guest finds it now; see {@linkcode SharedMemory.address}. */
  sharedAddress(region: number, offset: number): number | undefined {
    return this.#pci.locked(() => this.#pci.sharedMemory?.address(region, offset));
  }

  /** Takes such memory away; see {@linkcode SharedMemory.unmap}. */
  unmapShared(region: number, offset: number, length: number): number | undefined {
    return this.#pci.locked(() => this.#pci.sharedMemory?.unmap(region, offset, length));
  }

  /** Takes all of it away. */
  clearShared(): void {
    this.#pci.locked(() => this.#pci.sharedMemory?.clear());
  }

  /** DEVICE_NEEDS_RESET: the backend broke the protocol, or what it knew is lost with it. */
  markBroken(): void {
    this.#pci.locked(() => this.#pci.device.breakDown(Fault.Backend));
  }

  /** The driver has not reset the device yet since {@linkcode markBroken}. */
  get needsReset(): boolean {
    return this.#pci.locked(() =>
      (this.#pci.device.registers.status & DeviceStatus.NeedsReset) !== 0
    );
  }

  #activation(): Activation {
    const { registers, queues } = this.#pci.device;
    const active: ActiveQueue[] = [];
    for (let index = 0; index < registers.queueCount; index++) {
      const { enabled, size, desc, driver, device, base } = queues.at(index);
      if (enabled) active.push({ index, size, desc, avail: driver, used: device, base });
    }
    return { features: this.#features, queues: active };
  }

  get #features(): bigint {
    const { driverLow, driverHigh } = this.#pci.device.registers;
    return BigInt(driverHigh) << 32n | BigInt(driverLow);
  }
}
