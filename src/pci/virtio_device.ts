import { BadState, type InterruptController, type SharedState } from "../bus/mod.ts";
import type { EventFd } from "../os/mod.ts";
import { DeviceStatus } from "../virtio/mod.ts";
import type { ConfigSpace } from "./config_space.ts";
import type { GsiRoutes } from "./gsi_routes.ts";
import { Msix, type MsixDescription, NO_VECTOR } from "./msix.ts";
import { VirtioDoorbells } from "./virtio_doorbells.ts";
import { MAX_CONFIG_SIZE, VirtioBar } from "./virtio_layout.ts";
import { type RamRange, VirtioQueues } from "./virtio_queues.ts";
import {
  Attention,
  CONFIG_WRITES,
  DeviceState,
  Fault,
  type FaultCode,
  Phase,
} from "./virtio_state.ts";

/** ISR status, virtio 1.2 §4.1.4.5. */
const ISR_CONFIG = 2;

/** A range of device-specific configuration that the driver may write. */
export interface ConfigRange {
  readonly offset: number;
  readonly size: number;
}

/** What a virtio device is made of, beside its PCI function, as plain data. */
export interface VirtioDeviceDescription {
  /** Offset of its registers; its queues follow them. */
  readonly registers: number;
  readonly maxQueues: number;
  readonly writableConfig: readonly ConfigRange[];
  readonly msix: MsixDescription;
}

/** A virtio device's events. The control thread owns them, others borrow. */
export interface VirtioEvents {
  /** One per queue: the driver has made buffers available. */
  readonly kicks: readonly EventFd[];
  /** One per queue: the backend has used buffers. */
  readonly calls: readonly EventFd[];
  /** Device-specific configuration, or the need of a reset, has changed. */
  readonly config: EventFd;
  /** Something waits for the control thread. */
  readonly attention: EventFd;
}

/** What a virtio device needs from outside. */
export interface VirtioWiring {
  readonly space: ConfigSpace;
  readonly routes: GsiRoutes;
  readonly controller: InterruptController;
  readonly events: VirtioEvents;
  readonly ram: readonly RamRange[];
}

/**
 * The state machine of a virtio device (virtio 1.2 §2.1, §3.1) between a guest's driver and the control
 * thread. All methods need the function's lock, none waits for anyone.
 */
export class VirtioDevice {
  readonly registers: ReturnType<typeof DeviceState.at>;
  readonly queues: VirtioQueues;
  readonly msix: Msix;
  readonly events: VirtioEvents;
  readonly description: VirtioDeviceDescription;
  readonly #space: ConfigSpace;
  readonly #doorbells: VirtioDoorbells;

  constructor(state: SharedState, description: VirtioDeviceDescription, wiring: VirtioWiring) {
    const { registers, maxQueues } = description;
    const { space, routes, controller, events, ram } = wiring;
    this.description = description;
    this.registers = DeviceState.at(state.view, registers);
    this.queues = new VirtioQueues(state, registers + DeviceState.size, maxQueues, ram);
    this.events = events;
    this.#space = space;
    this.#doorbells = new VirtioDoorbells(
      this.queues,
      events.kicks,
      controller,
      () => this.note(Fault.Doorbell),
    );
    const sources = [...events.calls, events.config];
    this.msix = new Msix(state, description.msix, {
      config: space,
      routes,
      controller,
      event: (source) => sources[source],
      failed: () => this.note(Fault.Interrupt),
    });
  }

  /** The MSI-X source of configuration changes; those before it are the queues. */
  get configSource(): number {
    return this.description.maxQueues;
  }

  /**
   * After the state was replaced by a saved one: checks what nobody else checks again, and gives the new machine's KVM
   * the interrupts and doorbells.
   *
   * @throws {BadState}
   */
  restored(): void {
    const r = this.registers;
    const bad = (detail: string) => new BadState("a virtio device", detail);
    if (!this.queues.sound) throw bad("a queue is outside of memory");
    if (r.queueCount > this.queues.capacity || r.configSize > MAX_CONFIG_SIZE) {
      throw bad(`it has ${r.queueCount} queues and ${r.configSize} bytes of configuration`);
    }
    if (r.configWriteHead >= CONFIG_WRITES || r.configWriteCount > CONFIG_WRITES) {
      throw bad("it has more unseen writes than there is room for");
    }
    const active = (r.status & DeviceStatus.DriverOk) !== 0;
    if (r.phase !== Phase.Idle && !(r.phase === Phase.Active && active)) {
      throw bad(`phase ${r.phase} with status ${r.status}`);
    }
    if (r.fault > Fault.SharedMemory) r.fault = Fault.None;
    this.msix.restored();
    for (let i = 0; i < this.queues.capacity; i++) this.queues.at(i).doorbell = 0;
    r.doorbells = 0;
    this.placeDoorbells();
    // Whatever was signalled and not seen yet: one signal too many is harmless.
    for (let i = 0; i < r.queueCount; i++) {
      if (!this.queues.at(i).enabled) continue;
      this.events.kicks[i].signal();
      this.events.calls[i].signal();
    }
    this.events.attention.signal();
  }

  /** The driver writes device_status. */
  setStatus(value: number): void {
    const r = this.registers;
    if (r.phase === Phase.Resetting) return;
    if (value === 0) return this.resetByDriver();
    // Bits are only ever added (§2.1.1), NEEDS_RESET by us.
    const added = value & ~r.status & ~DeviceStatus.NeedsReset;
    r.status |= added & (DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.Failed);
    if ((added & DeviceStatus.FeaturesOk) && this.#featuresAcceptable()) {
      r.status |= DeviceStatus.FeaturesOk;
    }
    if ((added & DeviceStatus.DriverOk) === 0) return;
    if ((r.status & DeviceStatus.FeaturesOk) === 0) return this.breakDown(Fault.DriverOkTooEarly);
    r.status |= DeviceStatus.DriverOk;
    // Broken while it was set up: no backend is to see that, and only a reset helps.
    if (r.status & DeviceStatus.NeedsReset) return;
    r.phase = Phase.Activating;
    this.placeDoorbells();
    this.#attract(Attention.Activate);
  }

  /** The driver wants everything as after power-on. Done at once unless the backend is at work. */
  resetByDriver(): void {
    const r = this.registers;
    const active = r.phase === Phase.Active || r.phase === Phase.Resetting;
    this.#doorbells.move(r.doorbells, 0);
    r.doorbells = 0;
    this.msix.clearVectors();
    this.queues.reset();
    r.deviceFeatureSelect = r.driverFeatureSelect = r.queueSelect = 0;
    r.driverLow = r.driverHigh = 0;
    r.configWriteHead = r.configWriteCount = 0;
    r.isr = r.fault = r.attention = 0;
    if (active) {
      r.phase = Phase.Resetting;
      this.#attract(Attention.Reset);
    } else {
      this.finishReset();
    }
  }

  /** Nobody works for the device any more: the driver may see a status of zero. */
  finishReset(): void {
    this.registers.status = 0;
    this.registers.phase = Phase.Idle;
    // Nothing from before is to reach the next driver.
    for (const kick of this.events.kicks) kick.drain();
    for (const call of this.events.calls) call.drain();
    this.events.config.drain();
  }

  /** Enables a queue, if it is in order. */
  enableQueue(index: number): void {
    const queue = this.queues.at(index);
    if (queue.enabled || (this.registers.status & DeviceStatus.DriverOk)) return;
    const fault = this.queues.check(queue);
    if (fault === Fault.None) queue.enabled = 1;
    else this.breakDown(fault);
  }

  /** Passes on a kick that came as an exit. */
  kick(index: number): void {
    if (index >= this.queues.capacity || !this.queues.at(index).enabled) return;
    if (this.registers.status & DeviceStatus.DriverOk) this.events.kicks[index].signal();
  }

  /** Puts the doorbells where BAR, command register and status say. */
  placeDoorbells(): void {
    const r = this.registers;
    const ring = (r.status & DeviceStatus.DriverOk) !== 0 && r.phase !== Phase.Resetting &&
      this.#space.decodes;
    const base = ring ? this.#space.barAddress(VirtioBar.index) + VirtioBar.notify : 0;
    this.#doorbells.move(r.doorbells, base);
    r.doorbells = base;
  }

  /** DEVICE_NEEDS_RESET (§2.1.2), once: nothing but a reset helps. */
  breakDown(fault: FaultCode): void {
    const r = this.registers;
    if (r.status & DeviceStatus.NeedsReset || r.phase === Phase.Resetting) return;
    r.status |= DeviceStatus.NeedsReset;
    this.note(fault);
    if (r.status & DeviceStatus.DriverOk) this.configChanged();
  }

  /** Tells the control thread of a fault, the first since a reset. */
  note(fault: FaultCode): void {
    if (this.registers.fault !== Fault.None) return;
    this.registers.fault = fault;
    this.#attract(Attention.Fault);
  }

  /** Raises the configuration change interrupt. */
  configChanged(): void {
    this.registers.isr |= ISR_CONFIG;
    if (this.msix.vector(this.configSource) !== NO_VECTOR) this.events.config.signal();
  }

  #featuresAcceptable(): boolean {
    const r = this.registers;
    const unknown = (r.driverLow & ~r.offeredLow) | (r.driverHigh & ~r.offeredHigh);
    // VIRTIO_F_VERSION_1, bit 32: this transport has no legacy interface.
    return unknown === 0 && (r.driverHigh & 1) !== 0;
  }

  #attract(what: number): void {
    this.registers.attention |= what;
    this.events.attention.signal();
  }
}
