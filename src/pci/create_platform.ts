import { ECAM, PCI_CONFIG_PORT, type PciWindows } from "../boot/mod.ts";
import type { InterruptController, MachineEvents, StateArena } from "../bus/mod.ts";
import { EventFd } from "../os/mod.ts";
import { type AcpiPm, createLegacy, SerialPort } from "../platform/mod.ts";
import { BarAllocator } from "./bar_allocator.ts";
import { ConfigPorts } from "./config_ports.ts";
import { createDoorbellPci } from "./create_doorbell_pci.ts";
import { createVirtioPci, slotsOf, vectorsOf, type VirtioPlan } from "./create_virtio_pci.ts";
import { DoorbellControl } from "./doorbell_control.ts";
import { GsiRoutes } from "./gsi_routes.ts";
import { createHostBridge } from "./host_bridge.ts";
import { buildPlatform, type Platform, type PlatformDescription } from "./platform.ts";
import type { MemorySlots } from "./shared_memory.ts";
import { createVirtioEvents, shareVirtioEvents } from "./virtio_events.ts";
import { VirtioPciControl } from "./virtio_pci_control.ts";
import type { RamRange } from "./virtio_queues.ts";

/** What devices a machine is to have. */
export interface PlatformPlan {
  readonly ram: readonly RamRange[];
  readonly windows: PciWindows;
  /** In the order of their slots, from 00:01.0 on; at most 31. */
  readonly virtio: readonly VirtioPlan[];
  /** Slots of the doorbell function, which comes last; none without. */
  readonly doorbells?: number;
}

/** What the main thread keeps of a platform. */
export interface PlatformControl extends Disposable {
  /** For the vCPU threads. */
  readonly description: PlatformDescription;
  /** This thread's own objects. */
  readonly platform: Platform;
  readonly serial: SerialPort;
  readonly power: AcpiPm;
  /** In the order of the plan. */
  readonly virtio: readonly VirtioPciControl[];
  readonly doorbells?: DoorbellControl;
}

/** Slot 0 is the host bridge. */
const SLOTS = 32;

/**
 * Assembles the devices of a machine: once, on the main thread, after the VM has its interrupt
 * controllers and before a vCPU runs. Disposing closes the events, when all vCPU threads are gone.
 *
 * @throws StateExhausted, WindowExhausted, TooManyVectors, RangeError when the plan asks for too much
 */
export function createPlatform(
  plan: PlatformPlan,
  context: {
    readonly arena: StateArena;
    readonly vm: InterruptController & MemorySlots;
    readonly events: MachineEvents;
  },
): PlatformControl {
  const { arena, vm, events } = context;
  const { doorbells = 0 } = plan;
  const devices = plan.virtio.length + (doorbells > 0 ? 1 : 0);
  if (devices >= SLOTS) throw new RangeError(`${devices} devices are too many`);
  using owned = new DisposableStack();
  const wake = owned.use(EventFd.create());
  const legacy = createLegacy(arena, wake.fd.share());

  const vectors = plan.virtio.reduce((sum, device) => sum + vectorsOf(device), doorbells);
  const routes = GsiRoutes.create(arena, vectors);
  const { low, high } = plan.windows;
  const bars = {
    low: new BarAllocator(low),
    high: new BarAllocator(high ?? { base: 0, size: 0 }),
  };
  let firstGsi: number = GsiRoutes.firstGsi;
  let firstMemorySlot = plan.ram.length;
  const virtio = plan.virtio.map((device, index) => {
    const place = { slot: index + 1, firstGsi, firstMemorySlot };
    const pci = createVirtioPci(arena, bars, device, place);
    firstGsi += vectorsOf(device);
    firstMemorySlot += slotsOf(device);
    const events = createVirtioEvents(device.maxQueues);
    for (const event of [...events.kicks, ...events.calls, events.config, events.attention]) {
      owned.use(event);
    }
    return { name: device.name, pci, events };
  });

  const bell = doorbells === 0
    ? undefined
    : createDoorbellPci(arena, bars.low, doorbells, { slot: plan.virtio.length + 1, firstGsi });

  const description: PlatformDescription = {
    legacy,
    ram: plan.ram.map(({ guestAddress, size }) => ({ guestAddress, size })),
    routes,
    configPorts: { base: PCI_CONFIG_PORT, state: ConfigPorts.create(arena) },
    ecam: ECAM,
    windows: high === undefined ? [low] : [low, high],
    hostBridge: createHostBridge(arena),
    virtio: virtio.map(({ name, pci, events }) => ({
      name,
      pci,
      events: shareVirtioEvents(events),
    })),
    doorbells: bell,
  };
  const platform = buildPlatform(description, { state: arena.state, vm, events });
  const control = platform.doorbells && owned.use(new DoorbellControl(platform.doorbells));
  const held = owned.move();
  return {
    description,
    platform,
    serial: new SerialPort(platform.legacy.serial, wake),
    power: platform.legacy.power,
    virtio: virtio.map(({ name, events }, i) =>
      new VirtioPciControl(name, platform.virtio[i], events)
    ),
    doorbells: control,
    [Symbol.dispose]: () => held.dispose(),
  };
}
