import assert from "node:assert/strict";
import fc from "fast-check";
import { type Fd, leakedDescriptors, openFile, trackDescriptors, Uring } from "../../os/mod.ts";
import {
  BlkConfig,
  BlkDiscardSegment,
  BlkFeature,
  BlkRequestHeader,
  BlkRequestType as Type,
  BlkStatus as Status,
  type MockDriver,
} from "../../virtio/mod.ts";
import type { Throttled } from "../limiter.ts";
import { canOpenDirectly, DeviceBench, DISK_FOLDER, ScratchFile, window } from "../testing.ts";
import { BlkDevice, type BlkOptions, DiskError } from "./mod.ts";

const MIB = 2 ** 20;
const SIZE = 4 * MIB;

interface Scene extends Disposable {
  readonly file: ScratchFile;
  readonly device: BlkDevice;
  readonly bench: DeviceBench;
  readonly driver: MockDriver;
  readonly log: string[];
}

/** How the image is opened: through the page cache, or past it on a file system that can. */
type Mode = "cached" | "direct";
const modes: readonly Mode[] = canOpenDirectly() ? ["cached", "direct"] : ["cached"];

/** Some hosts disable it. */
function hasUring(): boolean {
  using file = new ScratchFile(4096);
  using fd = openFile(file.path);
  const ring = Uring.tryCreate(window, fd, 8);
  if (!(ring instanceof Uring)) return false;
  ring[Symbol.dispose]();
  return modes.includes("direct");
}

function scene(mode: Mode, options: Partial<BlkOptions> = {}, size = SIZE): Scene {
  const file = new ScratchFile(size, DISK_FOLDER);
  file.fill();
  const fd = openFile(file.path, { write: true, direct: mode === "direct" });
  const log: string[] = [];
  const device = new BlkDevice(window, { disk: fd, log: (text) => log.push(text), ...options });
  device.start(device.features);
  const bench = new DeviceBench(device);
  const driver = bench.driver();
  const dispose = () => {
    bench[Symbol.dispose]();
    device[Symbol.dispose]();
    fd[Symbol.dispose]();
    file[Symbol.dispose]();
  };
  return { file, device, bench, driver, log, [Symbol.dispose]: dispose };
}

const header = (type: number, sector = 0) => BlkRequestHeader.encode({ type, sector });

/** Does one request. The data of a read, and the status. */
function request(
  { bench, driver }: Scene,
  type: number,
  sector: number,
  parts: readonly (Uint8Array | number)[] = [],
): { status: number; data: Uint8Array; written: number } {
  const before = driver.usedIndex;
  const { addresses } = driver.add([header(type, sector), ...parts, 1]);
  driver.bytes[addresses[addresses.length - 1]] = 0xee;
  bench.until(driver, before + 1);
  const used = driver.takeUsed();
  assert.equal(used.length, 1);
  const data = parts.flatMap((part, i) =>
    typeof part === "number"
      ? [...driver.bytes.slice(addresses[i + 1], addresses[i + 1] + part)]
      : []
  );
  const status = driver.bytes[addresses[addresses.length - 1]];
  return { status, data: new Uint8Array(data), written: used[0].written };
}

for (const mode of modes) {
  Deno.test(`${mode}: what is read is what is in the image, in one piece or many`, () => {
    using disk = scene(mode);
    const one = request(disk, Type.In, 8, [4096]);
    assert.deepEqual(one, { status: Status.Ok, data: disk.file.bytes(4096, 4096), written: 4097 });
    const many = request(disk, Type.In, 3, [512, 512, 1024]);
    assert.deepEqual(many.data, disk.file.bytes(3 * 512, 2048));
    const last = request(disk, Type.In, SIZE / 512 - 1, [512]);
    assert.deepEqual(last.data, disk.file.bytes(SIZE - 512, 512));
  });

  Deno.test(`${mode}: what is written is in the image after a flush`, () => {
    using disk = scene(mode);
    const before = disk.file.bytes(0, SIZE);
    const parts = [new Uint8Array(512).fill(7), new Uint8Array(1536).fill(8)];
    assert.equal(request(disk, Type.Out, 5, parts).status, Status.Ok);
    assert.deepEqual(request(disk, Type.Flush, 0), {
      status: Status.Ok,
      data: new Uint8Array(0),
      written: 1,
    });
    before.fill(7, 5 * 512, 6 * 512).fill(8, 6 * 512, 9 * 512);
    assert.deepEqual(disk.file.bytes(0, SIZE), before);
  });

  Deno.test(`${mode}: data in pieces of any length lands where it belongs`, () => {
    using disk = scene(mode);
    const model = disk.file.bytes(0, SIZE);
    const cuts = fc.array(fc.integer({ min: 1, max: 4095 }), { maxLength: 6 });
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.nat(SIZE / 512 - 8),
        cuts,
        fc.nat(255),
        (out, sector, at, seed) => {
          const driver = disk.bench.driver(0, 0, 64);
          const borders = [...new Set([0, ...at, 4096])].sort((a, b) => a - b);
          const lengths = borders.slice(1).map((border, i) => border - borders[i]);
          const bytes = new Uint8Array(4096).map((_, i) => (i * 7 + seed) & 0xff);
          const parts = out
            ? lengths.map((length, i) => bytes.slice(borders[i], borders[i] + length))
            : lengths;
          const position = sector * 512;
          const result = request({ ...disk, driver }, out ? Type.Out : Type.In, sector, parts);
          assert.equal(result.status, Status.Ok);
          if (out) model.set(bytes, position);
          else assert.deepEqual(result.data, model.slice(position, position + 4096));
        },
      ),
      { numRuns: 60 },
    );
    assert.deepEqual(disk.file.bytes(0, SIZE), model);
  });

  Deno.test(`${mode}: a header and a status cut into single bytes are understood`, () => {
    using disk = scene(mode);
    const head = header(Type.In, 1);
    const cut = [...head].map((byte) => new Uint8Array([byte]));
    // The last 8 bytes of data and the status are one piece.
    const { addresses } = disk.driver.add([...cut, 504, 9]);
    disk.bench.until(disk.driver, 1);
    const at = addresses[16];
    const end = addresses[17];
    assert.deepEqual(disk.driver.bytes.slice(at, at + 504), disk.file.bytes(512, 504));
    assert.deepEqual(disk.driver.bytes.slice(end, end + 8), disk.file.bytes(1016, 8));
    assert.equal(disk.driver.bytes[end + 8], Status.Ok);
    assert.equal(disk.driver.takeUsed()[0].written, 513);
  });

  Deno.test(`${mode}: requests that cannot be fail, and nothing else happens`, () => {
    using disk = scene(mode);
    const end = SIZE / 512;
    const all = disk.file.bytes(0, SIZE);
    const outcomes: [number, number, (Uint8Array | number)[], number][] = [
      [Type.In, end, [512], Status.IoError],
      [Type.In, end - 1, [1024], Status.IoError],
      [Type.In, 0, [511], Status.IoError],
      [Type.In, 2 ** 53 - 8, [512], Status.IoError],
      [Type.Out, end - 1, [new Uint8Array(1024)], Status.IoError],
      [Type.Out, 0, [new Uint8Array(100)], Status.IoError],
      [Type.Discard, 0, [], Status.IoError],
      [Type.Discard, 0, [new Uint8Array(15)], Status.IoError],
      [
        Type.Discard,
        0,
        [BlkDiscardSegment.encode({ sector: end - 1, sectorCount: 2 })],
        Status.IoError,
      ],
      [
        Type.Discard,
        0,
        [BlkDiscardSegment.encode({ sectorCount: 1, flags: 1 })],
        Status.Unsupported,
      ],
      [
        Type.WriteZeroes,
        0,
        [BlkDiscardSegment.encode({ sectorCount: 1, flags: 2 })],
        Status.Unsupported,
      ],
      [
        Type.WriteZeroes,
        0,
        [BlkDiscardSegment.encode({ sectorCount: 2 ** 32 - 1 })],
        Status.IoError,
      ],
      [Type.SecureErase, 0, [new Uint8Array(16)], Status.Unsupported],
      [77, 0, [], Status.Unsupported],
    ];
    for (const [type, sector, parts, status] of outcomes) {
      assert.equal(request(disk, type, sector, parts).status, status, `${type} at ${sector}`);
    }
    assert.deepEqual(disk.file.bytes(0, SIZE), all);
    assert.equal(disk.bench.queue().fault, undefined);
  });

  Deno.test(`${mode}: discard gives room back, write-zeroes reads as zeroes with or without it`, () => {
    using disk = scene(mode);
    const before = disk.file.allocated;
    const range = (sector: number, flags = 0) =>
      BlkDiscardSegment.encode({ sector, sectorCount: 2048, flags });
    assert.equal(request(disk, Type.Discard, 0, [range(0)]).status, Status.Ok);
    assert(disk.file.allocated <= before - MIB);
    const list = new Uint8Array([...range(2048), ...range(4096, 1)]);
    // A list in two pieces that cut an entry.
    const parts = [list.slice(0, 10), list.slice(10)];
    assert.equal(request(disk, Type.WriteZeroes, 0, parts).status, Status.Ok);
    assert(disk.file.bytes(MIB, 2 * MIB).every((byte) => byte === 0));
    assert(disk.file.bytes(3 * MIB, 8).some((byte) => byte !== 0));
    assert(disk.file.allocated <= before - 2 * MIB);
  });

  Deno.test(`${mode}: a read-only disk says so, and refuses`, () => {
    using disk = scene(mode, { readonly: true });
    assert.notEqual(disk.device.features & BlkFeature.ReadOnly, 0n);
    assert.equal(disk.device.features & (BlkFeature.Discard | BlkFeature.WriteZeroes), 0n);
    const all = disk.file.bytes(0, SIZE);
    assert.equal(request(disk, Type.Out, 0, [new Uint8Array(512)]).status, Status.IoError);
    const range = BlkDiscardSegment.encode({ sectorCount: 1 });
    assert.equal(request(disk, Type.Discard, 0, [range]).status, Status.IoError);
    assert.equal(request(disk, Type.WriteZeroes, 0, [range]).status, Status.IoError);
    assert.deepEqual(disk.file.bytes(0, SIZE), all);
  });

  Deno.test(`${mode}: a chain without room for header or status breaks the queue`, () => {
    for (const buffers of [[new Uint8Array(15), 513], [header(Type.In)], [512]]) {
      using disk = scene(mode);
      disk.driver.add(buffers);
      disk.bench.round();
      assert.equal(disk.bench.queue().fault, "request");
      assert.equal(disk.driver.usedIndex, 0);
    }
  });

  Deno.test(`${mode}: many requests at once on several queues are all answered`, () => {
    using disk = scene(mode);
    const drivers = [disk.driver, disk.bench.driver(1, 2 * MIB, 256)];
    const places: [MockDriver, number, number][] = [];
    for (let i = 0; i < 84; i++) {
      const driver = drivers[i < 20 ? 0 : 1];
      const sector = (i * 37 % 1000) * 8;
      const { addresses } = driver.add([header(Type.In, sector), 4096, 1]);
      places.push([driver, addresses[1], sector * 512]);
    }
    disk.bench.until(drivers[0], 20);
    disk.bench.until(drivers[1], 64);
    for (const [driver, address, position] of places) {
      assert.deepEqual(
        driver.bytes.slice(address, address + 4096),
        disk.file.bytes(position, 4096),
      );
    }
  });

  Deno.test(`${mode}: the serial number, whole or cut`, () => {
    using disk = scene(mode, { serial: "disk0" });
    const { status, data } = request(disk, Type.GetId, 0, [3, 17]);
    assert.equal(status, Status.Ok);
    assert.equal(new TextDecoder().decode(data), "disk0".padEnd(20, "\0"));
    assert.equal(request(disk, Type.GetId, 0, [4]).status, Status.Ok);
  });

  Deno.test(`${mode}: a driver may choose write-through`, () => {
    using disk = scene(mode);
    const at = BlkConfig.offset.writeback;
    assert.equal(disk.device.config[at], 1);
    assert.equal(disk.device.writeConfig(at, new Uint8Array([0])), true);
    assert.equal(disk.device.config[at], 0);
    assert.equal(request(disk, Type.Out, 0, [new Uint8Array(512)]).status, Status.Ok);
    assert.equal(disk.device.writeConfig(at, new Uint8Array([2])), false);
    assert.equal(disk.device.writeConfig(0, new Uint8Array([1])), false);
    disk.device.reset();
    assert.equal(disk.device.config[at], 1);
    disk.device.start(disk.device.features & ~BlkFeature.ConfigWce);
    assert.equal(disk.device.writeConfig(at, new Uint8Array([0])), false);
  });

  Deno.test(`${mode}: an image that shrinks under us fails requests, not the device`, () => {
    using disk = scene(mode);
    Deno.truncateSync(disk.file.path, MIB);
    assert.equal(request(disk, Type.In, SIZE / 512 - 8, [4096]).status, Status.IoError);
    assert.equal(request(disk, Type.In, 0, [4096]).status, Status.Ok);
  });
}

for (const mode of modes) {
  Deno.test(`${mode}: a request into memory that is nobody's fails, and no other`, () => {
    using disk = scene(mode);
    const { bench, driver } = disk;
    const before = disk.file.bytes(0, SIZE);
    for (const type of [Type.In, Type.Out, Type.GetId, Type.WriteZeroes]) {
      const writable = type === Type.In || type === Type.GetId;
      for (const address of [2 ** 40, 2 ** 22 - 512, 2 ** 53]) {
        const place = { address, length: 4096, writable };
        const { addresses } = driver.add([header(type, 8), place, 1]);
        const good = driver.add([header(Type.In, 8), 4096, 1]);
        bench.until(driver, driver.usedIndex + 2);
        assert.equal(driver.bytes[addresses[2]], Status.IoError);
        assert.equal(driver.bytes[good.addresses[2]], Status.Ok);
        assert.equal(driver.takeUsed().length, 2);
      }
    }
    assert.equal(bench.queue().fault, undefined);
    assert.deepEqual(disk.file.bytes(0, SIZE), before);
    driver.add([header(Type.In, 8), { address: 2 ** 40, length: 513, writable: true }]);
    bench.round();
    assert.equal(bench.queue().fault, "request", "there is no place for a status");
  });
}

Deno.test("the config space describes the image", () => {
  using disk = scene("cached", { queues: 3 }, SIZE + 700);
  const config = BlkConfig.decode(disk.device.config);
  assert.equal(config.capacity, (SIZE + 512) / 512);
  assert.equal(config.blkSize, 512);
  assert.equal(config.numQueues, 3);
  assert.equal(config.segMax, 254);
  assert.equal(config.physicalBlockExp, 3);
  assert.equal(config.minIoSize, 8);
  // Where the fields are in C, virtio 1.2 §5.2.4.
  const view = new DataView(disk.device.config.slice().buffer);
  assert.deepEqual([view.getUint32(12, true), view.getUint8(32), view.getUint16(34, true)], [
    254,
    1,
    3,
  ]);
  assert.equal(view.getUint32(36, true), 2 ** 22);
  assert.equal(view.getUint8(56), 1);
});

Deno.test("what is no disk, or not for this, is refused", () => {
  const make = (fd: Fd, options: Partial<BlkOptions> = {}) =>
    new BlkDevice(window, { disk: fd, log: () => {}, ...options });
  using file = new ScratchFile(MIB);
  using readable = openFile(file.path);
  assert.throws(() => make(readable), DiskError);
  using tiny = new ScratchFile(100);
  using tinyFd = openFile(tiny.path, { write: true });
  assert.throws(() => make(tinyFd), DiskError);
  using device = openFile("/dev/null", { write: true });
  assert.throws(() => make(device), DiskError);
  assert.throws(() => make(readable, { readonly: true, queues: 0 }), DiskError);
  assert.throws(() => make(readable, { readonly: true, serial: "x".repeat(21) }), DiskError);
});

Deno.test({
  name: "with O_DIRECT 32 requests really are with the disk at once",
  ignore: !hasUring(),
  fn() {
    using disk = scene("direct");
    assert.deepEqual(disk.log, []);
    const driver = disk.bench.driver(0, 0, 128);
    for (let i = 0; i < 32; i++) driver.add([header(Type.In, 8 * i), 4096, 1]);
    disk.bench.queue().beginRound();
    disk.device.process(disk.bench.queue());
    // All were taken and handed over, and nobody has looked yet whether any is done.
    assert.deepEqual([disk.bench.queue().base, driver.usedIndex], [32, 0]);
    disk.device.settle();
    assert.equal(driver.usedIndex, 32);
  },
});

Deno.test("a disk leaves nothing behind", () => {
  trackDescriptors();
  for (const mode of modes) {
    using disk = scene(mode);
    request(disk, Type.In, 0, [512]);
  }
  assert.deepEqual(leakedDescriptors(), []);
  trackDescriptors(false);
});

for (const mode of modes) {
  Deno.test(`${mode}: requests beyond the limit wait, in their order, and none is lost`, () => {
    let now = 0;
    const told: Throttled[] = [];
    const limit = { operations: 100, bytes: 40 * 4096, burst: 0.1 };
    using disk = scene(mode, { limit, now: () => now, onThrottled: (each) => told.push(each) });
    const { bench, driver, device } = disk;
    const data = new Uint8Array(4096).fill(1);
    const heads = Array.from(
      { length: 16 },
      (_, i) => driver.add([header(Type.Out, 8 * i), data, 1], { indirect: true }).head,
    );
    const order: number[] = [];
    // 40 of them in a second are let pass, after 4 at once; the clock stands still unless it is moved here.
    for (let steps = 0; order.length < heads.length; steps++) {
      assert.ok(steps < 100);
      bench.round();
      bench.listen();
      device.settle();
      bench.round();
      order.push(...driver.takeUsed().map(({ head }) => head));
      const most = 4 + 1 + now * 40 / 1000;
      assert.ok(order.length <= most, `${order.length} after ${now} ms`);
      if (order.length === heads.length) break;
      assert.ok(device.delay > 0);
      now += device.delay;
    }
    assert.ok(now >= 250 && now <= 320, `${now} ms`);
    assert.deepEqual([...order].sort(), [...heads].sort());
    if (mode === "cached") assert.deepEqual(order, heads);
    now += 1000;
    device.delay;
    const { times = 0, milliseconds = 0 } = told.at(-1) ?? {};
    assert.ok(times > 0 && milliseconds <= 400);
  });
}

Deno.test("zeroes count as what they are, and other queues have their turns", () => {
  let now = 0;
  using disk = scene("cached", { limit: { bytes: MIB, burst: 0.01 }, now: () => now, queues: 2 });
  const second = disk.bench.driver(1, 2 * MIB);
  const zero = BlkDiscardSegment.encode({ sector: 0, sectorCount: 2048, flags: 0 });
  disk.driver.add([header(Type.WriteZeroes), zero, 1]);
  disk.driver.add([header(Type.Flush), 1]);
  second.add([header(Type.Flush), 1]);
  disk.bench.round();
  assert.deepEqual([disk.driver.usedIndex, second.usedIndex], [1, 0]);
  assert.ok(disk.device.delay > 900);
  now += 1001;
  assert.equal(disk.device.delay, 0);
  disk.bench.round();
  assert.deepEqual([disk.driver.usedIndex, second.usedIndex], [2, 1]);
});
