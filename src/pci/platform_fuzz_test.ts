// A hostile guest at every port and address, which moves BARs to wherever it likes.
import assert from "node:assert/strict";
import { type Dice, fuzzTest } from "../../tests/fuzz/mod.ts";
import { EventFd } from "../os/mod.ts";
import type { VirtioPlan } from "./mod.ts";
import { DISK, DISK_FEATURES, ECAM_BASE, RAM, TestDriver, testPlatform } from "./testing.ts";
import { VirtioBar } from "./virtio_layout.ts";

const GIB = 2 ** 30;
const PAGE = 4096;
const RNG: VirtioPlan = { ...DISK, name: "rng", type: 4, maxQueues: 1, configSize: 0 };
const WL: VirtioPlan = {
  name: "wl",
  type: 63,
  maxQueues: 2,
  configSize: 60,
  sharedMemory: { sizes: [96 * GIB, PAGE], mappings: 3 },
};
const PLAN = [DISK, RNG, { ...DISK, name: "disk1" }, WL];
const WL_SLOT = 4;
const DOORBELLS = 8;
const DOORBELL_SLOT = 5;
const USER = 0x7f00_0000_0000;
/** Where in BAR 2 each region of shared memory begins. */
const REGIONS = [0, 96 * GIB];

const PORTS = [
  ...[0x60, 0x64, 0x70, 0x71, 0x3f8, 0x3fa, 0x505, 0x600, 0x604, 0xcf8, 0xcf9, 0xcfc],
];
/** What begins somewhere in BAR 0. */
const PARTS = [
  ...[VirtioBar.common, VirtioBar.common, VirtioBar.common, VirtioBar.isr, VirtioBar.device],
  ...[VirtioBar.notify, VirtioBar.msixTable, VirtioBar.msixTable, VirtioBar.msixPba, 0x6000],
];
const VALUES = [0, 1, 3, 11, 15, 0x406, 0x8000, 0xc000, 0xffff, 0x10_0000, 0xffff_ffff];
const COMMANDS = [0, 2, 4, 6, 6, 0x406];
/** Where BARs have no business to be: RAM, ECAM, the interrupt controllers, the ends of windows and of addresses. */
const PLACES = [
  ...[0, 0x8000, 0x10_0000, 2 ** 32, 2 ** 32 + 0x10_0000, ECAM_BASE, 0xfee0_0000, 0xfec0_0000],
  ...[0xc000_0000, 0xdfff_8000, 0xffff_8000, 2 ** 36, 2 ** 36 + 2 ** 38 - 0x8000],
  ...[2 ** 52 - 0x8000, 2 ** 52, 2 ** 63, 2 ** 64 - 2 ** 37, 2 ** 64 - 0x8000],
];

/** A function as a driver finds it. */
interface Found {
  readonly slot: number;
  readonly bars: readonly { readonly index: number; readonly size: number }[];
  readonly driver: TestDriver;
}

/** A machine, and a guest whose accesses are as the dice have it. */
class Match implements Disposable {
  readonly #machine = testPlatform(PLAN, DOORBELLS);
  readonly #functions: readonly Found[];
  readonly #drivers: readonly TestDriver[];
  readonly #homes: readonly number[][];
  readonly #mapped = new Map<number, number>();
  readonly #data = new DataView(new ArrayBuffer(8));

  constructor(private readonly dice: Dice) {
    const { control, vm } = this.#machine;
    for (const [i, region] of RAM.entries()) {
      vm.setMemoryRegion({ slot: i, userAddress: USER - 2 ** 40, ...region });
    }
    for (const [i, device] of control.virtio.entries()) {
      device.setOffered({
        features: DISK_FEATURES,
        queueSizes: device.name === "rng" ? [64] : [256, 256],
        config: new Uint8Array(60).fill(tagOf(i + 1)),
      });
    }
    const { virtio, doorbells } = control.description;
    assert.ok(doorbells !== undefined && control.doorbells !== undefined);
    this.#functions = [...virtio.map(({ pci }) => pci), doorbells]
      .map(({ slot, bars }) => ({ slot, bars, driver: new TestDriver(control, vm, slot) }));
    this.#drivers = this.#functions.filter(({ slot }) => slot !== DOORBELL_SLOT)
      .map(({ driver }) => driver);
    for (const [slot, use] of (["interrupt", "page"] as const).entries()) {
      using event = EventFd.create();
      assert.ok(control.doorbells.bind(slot, event.fd.dup(), use));
    }
    this.#homes = this.#functions.map((each) => each.bars.map(({ index }) => barOf(each, index)));
    for (const { driver } of this.#functions) driver.setConfig(4, 2, 6);
    for (const driver of this.#drivers) if (!dice.once(4)) this.#start(driver);
  }

  turn(): void {
    const { dice } = this;
    const { control, vm } = this.#machine;
    vm.refuse = dice.once(8);
    switch (dice.below(14)) {
      case 0:
      case 1:
        this.#moveBar();
        break;
      case 2:
        dice.of(this.#functions).driver.setConfig(4, 2, dice.of(COMMANDS));
        break;
      case 3:
        this.#share();
        break;
      case 4:
        if (dice.once(4)) this.#start(dice.of(this.#drivers));
        else this.#poll();
        break;
      case 5:
        this.#configPort();
        break;
      case 6:
        this.#indirect();
        break;
      default:
        this.#access();
    }
    control.serial.drain();
    this.#look();
  }

  #start(driver: TestDriver): void {
    const one = () => driver.setQueue(0, 1, 0x10_0000);
    driver.start(1n << 32n, driver.slot === 2 ? one : undefined);
  }

  #access(): void {
    const { dice } = this;
    const { ports, mmio } = this.#machine.control.platform;
    const kind = dice.below(8);
    const bus = kind < 2 ? ports : mmio;
    const address = this.#address(kind);
    const size = dice.of([1, 2, 4, 8] as const);
    const value = dice.once(2) ? dice.of(VALUES) : dice.below(2 ** 32);
    const data = this.#data;
    data.setUint32(0, value, true);
    data.setUint32(4, value, true);
    const isWrite = dice.once(2);
    if (!isWrite) bus.readInto(address, size, data, 0);
    else if (size !== 8 && dice.once(2)) bus.write(address, size, value);
    else bus.writeFrom(address, size, data, 0);
  }

  /** Of one of two kinds of port, or of six kinds of memory. */
  #address(kind: number): number {
    const { dice } = this;
    switch (kind) {
      case 0:
        return dice.of(PORTS);
      case 1:
        return dice.below(0x10000);
      case 2:
        return ECAM_BASE + (dice.below(6) << 15) + dice.below(256);
      case 3:
        return ECAM_BASE + dice.below(0x10_0000);
      case 4:
      case 5:
        return dice.of(this.#functions).driver.bar + dice.of(PARTS) + dice.below(0x40);
      case 6:
        return dice.of(this.#functions).driver.bar + dice.below(0x8000);
      default:
        return 0xc000_0000 + dice.below(0x2000_0000);
    }
  }

  /** Configuration mechanism 1. */
  #configPort(): void {
    const { dice } = this;
    const { ports } = this.#machine.control.platform;
    const enable = dice.once(20) ? 0 : 0x8000_0000;
    ports.write(0xcf8, 4, (enable | dice.below(7) << 11 | dice.below(256)) >>> 0);
    const size = dice.of([1, 2, 4] as const);
    const at = 0xcfc + dice.below(4);
    if (dice.once(2)) ports.read(at, size);
    else ports.write(at, size, dice.of(VALUES));
  }

  /** BAR 0 by way of the capability in configuration space. */
  #indirect(): void {
    const { dice } = this;
    const driver = dice.of(this.#drivers);
    const { at } = driver.virtioCapability(5);
    driver.setConfig(at + 4, 1, dice.once(8) ? dice.below(6) : 0);
    driver.setConfig(at + 8, 4, dice.once(8) ? dice.of(VALUES) : dice.of(PARTS) + dice.below(0x40));
    driver.setConfig(at + 12, 4, dice.once(8) ? dice.below(9) : dice.of([1, 2, 4]));
    if (dice.once(2)) driver.config(at + 16, dice.of([1, 2, 4]));
    else driver.setConfig(at + 16, 4, dice.of(VALUES));
  }

  /** To where another one is, or nobody should be; both halves, or only one. */
  #moveBar(): void {
    const { dice } = this;
    const { driver, bars } = dice.of(this.#functions);
    const register = 0x10 + 4 * dice.of(bars).index;
    const other = dice.of(this.#functions);
    const place = dice.once(2)
      ? dice.of(PLACES)
      : barOf(other, dice.of(other.bars).index) + 0x8000 * (dice.below(3) - 1);
    const address = Math.max(0, place);
    const half = dice.below(4);
    if (half !== 1) driver.setConfig(register, 4, address % 2 ** 32);
    if (half !== 2) driver.setConfig(register + 4, 4, Math.floor(address / 2 ** 32));
  }

  /** The host shows memory in the shared region, or takes it away. */
  #share(): void {
    const { dice } = this;
    const control = this.#machine.control.virtio[WL_SLOT - 1];
    const region = dice.below(2);
    const offset = region === 0 ? PAGE * dice.of([0, 1, 2, 2 ** 20, 96 * 2 ** 18 - 1]) : 0;
    const length = PAGE * dice.of([1, 2]);
    const start = REGIONS[region] + offset;
    if (dice.once(3)) {
      const address = control.unmapShared(region, offset, length);
      const known = this.#mapped.get(start) === length;
      assert.equal(address, known ? USER + start : undefined);
      if (known) this.#mapped.delete(start);
    } else {
      const userAddress = USER + start;
      const mapping = { region, offset, length, userAddress, writable: dice.once(2) };
      if (control.mapShared(mapping)) this.#mapped.set(start, length);
    }
  }

  #poll(): void {
    for (const device of this.#machine.control.virtio) {
      for (let next = device.poll(), n = 0; next !== undefined; next = device.poll(), n++) {
        assert.ok(n < 40, "the requests of one wake-up are bounded");
        if (next.kind === "reset") device.completeReset();
        if (next.kind !== "activate") continue;
        for (const queue of next.queues) {
          const end = queue.used + 6 + 8 * queue.size;
          assert.ok(queue.size > 0 && queue.size <= 256);
          assert.ok(isRam(queue.used, end), `a queue ends at ${end}`);
        }
      }
    }
  }

  /** What KVM was told follows the BARs, and one function answers at each address. */
  #look(): void {
    const { control, vm } = this.#machine;
    for (const address of vm.doorbells.keys()) {
      const isNear = this.#functions.some(({ slot, bars, driver }) =>
        decodes(driver) &&
        (slot === DOORBELL_SLOT
          ? bars.some(({ index, size }) => isIn(address, barOf({ driver }, index), size))
          : isIn(address, driver.bar + VirtioBar.notify, VirtioBar.pageSize))
      );
      assert.ok(isNear, `a doorbell is at 0x${address.toString(16)}, where no BAR is`);
    }
    const { driver } = this.#functions[WL_SLOT - 1];
    const base = barOf({ driver }, 2);
    for (const { slot, guestAddress, size, userAddress } of vm.slots.values()) {
      if (slot < RAM.length) continue;
      const start = guestAddress - base;
      assert.ok(decodes(driver), "memory is shown behind a BAR that is off");
      assert.equal(this.#mapped.get(start), size, "memory is shown where nobody put it");
      assert.equal(userAddress, USER + start);
    }
    const windows = control.description.windows;
    for (const each of this.#functions) {
      const probe = each.driver.bar + VirtioBar.device;
      const isWindow = windows.some(({ base, size }) => isIn(probe, base, size));
      if (!isWindow && isIn(probe, ECAM_BASE, 2 ** 28)) continue;
      const value = control.platform.mmio.read(probe, 1);
      const wanted = isWindow ? this.#answer(probe) : 0xff;
      if (wanted !== undefined) assert.equal(value, wanted, `at 0x${probe.toString(16)}`);
    }
  }

  /** What is read at an address of a window: the first function's that decodes it. Undefined when that may change. */
  #answer(address: number): number | undefined {
    for (const { slot, bars, driver } of this.#functions) {
      if (!decodes(driver)) continue;
      for (const { index, size } of bars) {
        const offset = address - barOf({ driver }, index);
        if (offset < 0 || offset >= size) continue;
        if (slot === DOORBELL_SLOT) return undefined;
        if (index !== VirtioBar.index) return 0xff;
        return offset === VirtioBar.device ? tagOf(slot) : undefined;
      }
    }
    return 0xff;
  }

  /** Whatever happened, a driver that starts from the beginning makes everything good again. */
  recover(): void {
    const { control, vm } = this.#machine;
    vm.refuse = false;
    for (const [i, { driver, bars }] of this.#functions.entries()) {
      driver.setConfig(4, 2, 6);
      for (const [k, { index }] of bars.entries()) {
        driver.setConfig(0x10 + 4 * index, 4, this.#homes[i][k] % 2 ** 32);
        driver.setConfig(0x14 + 4 * index, 4, Math.floor(this.#homes[i][k] / 2 ** 32));
      }
    }
    this.#look();
    for (const driver of this.#drivers) driver.status = 0;
    for (const device of control.virtio) {
      for (let next = device.poll(); next !== undefined; next = device.poll());
      device.completeReset();
      device.clearShared();
    }
    for (const driver of this.#drivers) assert.equal(driver.status, 0);
    control.doorbells?.clear();
    assert.deepEqual([vm.irqfds.size, vm.doorbells.size, vm.slots.size], [0, 0, RAM.length]);
    this.#start(this.#drivers[0]);
    assert.equal(this.#drivers[0].status, 0xf);
  }

  [Symbol.dispose](): void {
    this.#machine[Symbol.dispose]();
  }
}

/** What a device's configuration is full of. */
const tagOf = (slot: number) => 0x11 * slot;

const decodes = (driver: TestDriver) => (driver.config(4, 2) & 2) !== 0;

/** The address in a BAR, by the index of its lower register. */
function barOf({ driver }: { readonly driver: TestDriver }, index: number): number {
  const low = driver.config(0x10 + 4 * index, 4) & ~15;
  return driver.config(0x14 + 4 * index, 4) * 2 ** 32 + (low >>> 0);
}

const isIn = (address: number, base: number, size: number) =>
  address >= base && address < base + size;

const isRam = (from: number, to: number) =>
  RAM.some(({ guestAddress, size }) => from >= guestAddress && to <= guestAddress + size);

fuzzTest({
  name: "pci",
  promise: "no access of a guest throws, hangs, or reaches outside, wherever its BARs are",
  play(dice) {
    using match = new Match(dice);
    let turns = 0;
    for (; !dice.isOver; turns++) match.turn();
    match.recover();
    return turns;
  },
  turns: 40_000,
  tapeLength: 2 ** 12,
});
