/** A VM's interrupt side and a driver's side of virtio-pci, for tests. */
import type { AccessSize, DoorbellAddress, InterruptController } from "../bus/mod.ts";
import { SharedState, StateArena } from "../bus/mod.ts";
import type { GsiRoute, MemorySlot } from "../kvm/mod.ts";
import { Errno, EventFd, type Fd, OsError } from "../os/mod.ts";
import { createPlatform, type PlatformControl, type PlatformPlan } from "./create_platform.ts";
import type { VirtioPlan } from "./create_virtio_pci.ts";
import type { MemorySlots } from "./shared_memory.ts";

/** Holds attachments as strictly as KVM does, and delivers when asked. */
export class FakeVm implements InterruptController, MemorySlots {
  readonly levels = new Map<number, 0 | 1>();
  readonly irqfds = new Map<number, { gsi: number; fd: Fd }>();
  readonly doorbells = new Map<number, Fd>();
  readonly slots = new Map<number, MemorySlot>();
  routes: GsiRoute[] = [];
  routings = 0;
  /** Refuse what is asked for, as a host out of memory would. */
  refuse = false;

  irqLine(gsi: number, level: 0 | 1): void {
    this.levels.set(gsi, level);
  }

  irqfd(event: Fd, gsi: number, assign: boolean): void {
    // deno-lint-ignore spectrum/no-raw-descriptor -- KVM is told of descriptors by number, inside a structure
    this.#attach(this.irqfds, event.share().sharedDescriptor, { gsi, fd: event }, assign);
  }

  ioeventfd({ address }: DoorbellAddress, event: Fd, assign: boolean): void {
    this.#attach(this.doorbells, address, event, assign);
  }

  setGsiRouting(routes: GsiRoute[]): void {
    if (this.refuse) throw new OsError("route", "interrupts", Errno.ENOMEM);
    this.routings++;
    this.routes = routes;
  }

  setMemoryRegion(slot: MemorySlot): void {
    if (slot.size === 0) {
      this.slots.delete(slot.slot);
      return;
    }
    const end = slot.guestAddress + slot.size;
    const clash = this.slots.values().some(({ guestAddress, size }) =>
      guestAddress < end && slot.guestAddress < guestAddress + size
    );
    if (this.refuse || clash) throw new OsError("set", "a memory slot", Errno.EEXIST);
    this.slots.set(slot.slot, slot);
  }

  /** MSIs that attached events raise now, as `address:data`. */
  deliver(): string[] {
    const delivered: string[] = [];
    for (const { gsi, fd } of this.irqfds.values()) {
      if (EventFd.borrow(fd).drain() === 0) continue;
      for (const route of this.routes) {
        if (route.gsi !== gsi || route.kind !== "msi") continue;
        delivered.push(`${route.address.toString(16)}:${route.data.toString(16)}`);
      }
    }
    return delivered;
  }

  #attach<V>(map: Map<number, V>, key: number, value: V, assign: boolean): void {
    if (assign && this.refuse) throw new OsError("attach", "an event", Errno.ENOMEM);
    if (assign && map.has(key)) throw new OsError("attach", "an event", Errno.EBUSY);
    if (assign) map.set(key, value);
    else if (!map.delete(key)) throw new OsError("detach", "an event", Errno.ENOENT);
  }
}

/** A disk-like device with two queues. */
export const DISK: VirtioPlan = {
  name: "disk0",
  type: 2,
  maxQueues: 2,
  configSize: 60,
  writableConfig: [{ offset: 32, size: 1 }],
};

/** Features of that device: VERSION_1, EVENT_IDX, INDIRECT_DESC, FLUSH, and vhost-user's own bit. */
export const DISK_FEATURES = 1n << 32n | 1n << 29n | 1n << 28n | 1n << 9n | 1n << 30n;

const WINDOW = { base: 0xc000_0000, size: 0x2000_0000 };
const HIGH_WINDOW = { base: 2 ** 36, size: 2 ** 38 };
/** Of that machine. */
export const RAM = [{ guestAddress: 0, size: 0x1000_0000 }, {
  guestAddress: 2 ** 32,
  size: 0x1000_0000,
}];
/** Where configuration space is as memory. */
export const ECAM_BASE = 0xe000_0000;

/** The plan of a machine with 512 MiB and these devices. */
export const testPlan = (virtio: readonly VirtioPlan[], doorbells?: number): PlatformPlan => ({
  ram: RAM,
  windows: { low: WINDOW, high: HIGH_WINDOW },
  virtio,
  doorbells,
});

/** Fresh state. */
export function testState(): StateArena {
  return new StateArena(new SharedState(new SharedArrayBuffer(0x10_0000)));
}

/** A platform with these devices over a fake VM. */
export function testPlatform(
  virtio: readonly VirtioPlan[],
  doorbells?: number,
): { control: PlatformControl; vm: FakeVm; arena: StateArena; raised: string[] } & Disposable {
  const arena = testState();
  const vm = new FakeVm();
  const raised: string[] = [];
  const events = { raise: (event: string) => void raised.push(event), stopping: false };
  const control = createPlatform(testPlan(virtio, doorbells), { arena, vm, events });
  return { control, vm, arena, raised, [Symbol.dispose]: () => control[Symbol.dispose]() };
}

/** What a driver does to one function, through the buses. */
export class TestDriver {
  /** Without a fake VM there is no {@linkcode kick}. */
  constructor(
    readonly control: PlatformControl,
    readonly vm: FakeVm | undefined,
    readonly slot: number,
  ) {}

  config(offset: number, size: AccessSize): number {
    return this.control.platform.mmio.read(ECAM_BASE + (this.slot << 15) + offset, size);
  }

  setConfig(offset: number, size: AccessSize, value: number): void {
    this.control.platform.mmio.write(ECAM_BASE + (this.slot << 15) + offset, size, value);
  }

  /** Offsets of all capabilities with their ids, in list order. */
  capabilities(): { at: number; id: number }[] {
    const found = [];
    for (let at = this.config(0x34, 1); at !== 0; at = this.config(at + 1, 1)) {
      found.push({ at, id: this.config(at, 1) });
    }
    return found;
  }

  /** The virtio capability of a type. */
  virtioCapability(type: number): { at: number; bar: number; offset: number; length: number } {
    const cap = this.capabilities().find(({ at, id }) =>
      id === 9 && this.config(at + 3, 1) === type
    );
    if (cap === undefined) throw new Error(`no virtio capability ${type}`);
    const { at } = cap;
    return {
      at,
      bar: this.config(at + 4, 1),
      offset: this.config(at + 8, 4),
      length: this.config(at + 12, 4),
    };
  }

  get bar(): number {
    return this.config(0x14, 4) * 2 ** 32 + ((this.config(0x10, 4) & ~15) >>> 0);
  }

  set bar(address: number) {
    this.setConfig(0x10, 4, address % 2 ** 32);
    this.setConfig(0x14, 4, Math.floor(address / 2 ** 32));
  }

  read(part: number, offset: number, size: AccessSize): number {
    return this.control.platform.mmio.read(this.bar + part + offset, size);
  }

  write(part: number, offset: number, size: AccessSize, value: number): void {
    this.control.platform.mmio.write(this.bar + part + offset, size, value);
  }

  common(offset: number, size: AccessSize): number {
    return this.read(0, offset, size);
  }

  setCommon(offset: number, size: AccessSize, value: number): void {
    this.write(0, offset, size, value);
  }

  get status(): number {
    return this.common(0x14, 1);
  }

  set status(value: number) {
    this.setCommon(0x14, 1, value);
  }

  /** Rings a doorbell: an attached event gets it, otherwise it is an exit. True without exit. */
  kick(queue: number): boolean {
    const address = this.bar + 0x3000 + 4 * queue;
    const event = this.vm?.doorbells.get(address);
    if (event !== undefined) EventFd.borrow(event).signal();
    else this.control.platform.mmio.write(address, 2, queue);
    return event !== undefined;
  }

  /** Programs and unmasks one MSI-X vector. */
  setVector(vector: number, address: number, data: number): void {
    this.write(0x4000, 16 * vector, 4, address);
    this.write(0x4000, 16 * vector + 4, 4, 0);
    this.write(0x4000, 16 * vector + 8, 4, data);
    this.write(0x4000, 16 * vector + 12, 4, 0);
  }

  mask(vector: number, masked: boolean): void {
    this.write(0x4000, 16 * vector + 12, 4, masked ? 1 : 0);
  }

  /** Sets the upper bits of MSI-X message control. */
  msixControl(value: number): void {
    const msix = this.capabilities().find(({ id }) => id === 0x11);
    if (msix === undefined) throw new Error("no MSI-X");
    this.setConfig(msix.at + 2, 2, value);
  }

  /** Status up to FEATURES_OK, with what of the offer the driver wants. */
  negotiate(wanted: bigint): boolean {
    this.status = 0;
    this.status = 1;
    this.status = 3;
    for (const half of [0, 1]) {
      this.setCommon(8, 4, half);
      this.setCommon(12, 4, Number((wanted >> BigInt(32 * half)) & 0xffff_ffffn));
    }
    this.status = 3 | 8;
    return (this.status & 8) !== 0;
  }

  /** Everything that Linux does to one queue, whose parts are in pages that follow each other. */
  setQueue(index: number, vector: number, at: number, size?: number): void {
    this.placeQueue(index, vector, { desc: at, avail: at + 0x1000, used: at + 0x2000 }, size);
  }

  /** The same, with parts at any guest address. */
  placeQueue(
    index: number,
    vector: number,
    { desc, avail, used }: { desc: number; avail: number; used: number },
    size?: number,
  ): void {
    this.setCommon(0x16, 2, index);
    if (size !== undefined) this.setCommon(0x18, 2, size);
    this.setCommon(0x1a, 2, vector);
    for (const [offset, address] of [[0x20, desc], [0x28, avail], [0x30, used]]) {
      this.setCommon(offset, 4, address % 2 ** 32);
      this.setCommon(offset + 4, 4, Math.floor(address / 2 ** 32));
    }
    this.setCommon(0x1c, 2, 1);
  }

  /** A whole driver start: bus, MSI-X with a vector per queue, features, queues, DRIVER_OK. */
  start(
    wanted: bigint,
    setQueues = () => {
      this.setQueue(0, 1, 0x10_0000);
      this.setQueue(1, 2, 2 ** 32 + 0x10_0000);
    },
  ): void {
    this.setConfig(4, 2, 0x0406);
    this.negotiate(wanted);
    this.msixControl(0xc000);
    for (const vector of [0, 1, 2]) this.setVector(vector, 0xfee0_0000, 0x40 + vector);
    this.msixControl(0x8000);
    this.setCommon(0x10, 2, 0);
    setQueues();
    this.status = 3 | 8 | 4;
  }
}
