import {
  type InterruptController,
  type MachineEvents,
  MmioBus,
  PortBus,
  type SharedState,
} from "../bus/mod.ts";
import { attachLegacy, type LegacyDescription, type LegacyDevices } from "../platform/mod.ts";
import { ConfigPorts } from "./config_ports.ts";
import { DoorbellPci, type DoorbellPciDescription } from "./doorbell_pci.ts";
import { GsiRoutes } from "./gsi_routes.ts";
import { type FunctionBase, PciFunction } from "./pci_function.ts";
import { Ecam, PciRoot, PciWindow } from "./pci_root.ts";
import { borrowVirtioEvents, type SharedVirtioEvents } from "./virtio_events.ts";
import type { MemorySlots } from "./shared_memory.ts";
import { VirtioPci, type VirtioPciDescription } from "./virtio_pci.ts";
import type { RamRange } from "./virtio_queues.ts";

/** A range of guest-physical addresses. */
export interface AddressWindow {
  readonly base: number;
  readonly size: number;
}

/** A virtio device as plain data. */
export interface VirtioDescription {
  readonly name: string;
  readonly pci: VirtioPciDescription;
  readonly events: SharedVirtioEvents;
}

/**
 * All devices in the monitor, as structured-clonable data: where their registers are in the shared
 * state, and which descriptors they use. Every thread builds its own objects from it.
 */
export interface PlatformDescription {
  readonly legacy: LegacyDescription;
  readonly ram: readonly RamRange[];
  readonly routes: number;
  readonly configPorts: { readonly base: number; readonly state: number };
  readonly ecam: AddressWindow;
  readonly windows: readonly AddressWindow[];
  readonly hostBridge: FunctionBase;
  readonly virtio: readonly VirtioDescription[];
  readonly doorbells: DoorbellPciDescription | undefined;
}

/** What the thread that builds a platform brings along. */
export interface PlatformContext {
  readonly state: SharedState;
  /** This thread's handle on the VM. */
  readonly vm: InterruptController & MemorySlots;
  readonly events: MachineEvents;
}

/** A thread's buses, and its objects behind them. */
export interface Platform {
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  readonly legacy: LegacyDevices;
  /** In the order of the description. */
  readonly virtio: readonly VirtioPci[];
  readonly doorbells: DoorbellPci | undefined;
  /**
   * After all device state was replaced by a saved one, and before anybody uses it: checks it, and wires the devices to
   * this machine. Once, on one thread.
   *
   * @throws {BadState} @throws {OsError}
   */
  restored(): void;
}

/** Builds the devices of a description on this thread. */
export function buildPlatform(
  description: PlatformDescription,
  { state, vm, events }: PlatformContext,
): Platform {
  const ports = new PortBus();
  const mmio = new MmioBus();
  const legacy = attachLegacy(description.legacy, ports, { state, interrupts: vm, events });

  const routes = new GsiRoutes(state, description.routes, vm);
  const virtio = description.virtio.map(({ pci, events }) =>
    new VirtioPci(state, pci, {
      routes,
      controller: vm,
      slots: vm,
      events: borrowVirtioEvents(events),
      ram: description.ram,
    })
  );
  const bridge = new PciFunction(state, description.hostBridge);
  const doorbells = description.doorbells &&
    new DoorbellPci(state, description.doorbells, { routes, controller: vm });
  const functions = [bridge, ...virtio, ...(doorbells === undefined ? [] : [doorbells])];
  const root = new PciRoot(functions);
  const configPorts = new ConfigPorts(state, description.configPorts.state, root, events);
  ports.add({ base: description.configPorts.base, size: 8 }, configPorts);
  mmio.add(description.ecam, new Ecam(root));
  for (const window of description.windows) mmio.add(window, new PciWindow(root, window.base));

  return {
    ports,
    mmio,
    legacy,
    virtio,
    doorbells,
    restored() {
      for (const device of Object.values(legacy)) device.restored();
      routes.restored();
      for (const pci of functions) pci.restored();
    },
  };
}
