// Hostile guests against disks, random numbers and a console.
import { type Dice, fuzzTest } from "../../tests/fuzz/mod.ts";
import { Events, openFile, pollOne, read, setNonBlocking, socketPair, write } from "../os/mod.ts";
import {
  BlkDiscardSegment,
  BlkFeature,
  BlkRequestHeader,
  BlkRequestType as Type,
} from "../virtio/mod.ts";
import { BlkDevice } from "./blk/mod.ts";
import { ConsoleDevice } from "./console/mod.ts";
import { DATA, FuzzGuest, type Match, MEMORY, type Piece, playMatch } from "./fuzz_guest.ts";
import { RngDevice } from "./rng/mod.ts";
import { canOpenDirectly, DISK_FOLDER, ScratchFile, window } from "./testing.ts";

const DISK = 2 ** 22;
const SECTORS = DISK / 512;

function diskMatch(dice: Dice, direct: boolean): Match {
  using undo = new DisposableStack();
  const file = undo.use(new ScratchFile(DISK, DISK_FOLDER));
  const readonly = dice.once(4);
  const disk = undo.use(openFile(file.path, { write: !readonly, direct }));
  const device = undo.use(new BlkDevice(window, { disk, readonly, log: () => {} }));
  device.start(device.features & dice.features(BlkFeature));
  const guest = undo.use(new FuzzGuest(device, dice, [0], direct));
  const types = [Type.In, Type.In, Type.In, Type.Out, Type.Out, Type.Out, Type.GetId];
  const rare = [Type.Flush, Type.Discard, Type.WriteZeroes, 2, 0xffff_ffff];
  const sectors = [0, SECTORS - 1, SECTORS, 2 ** 32, 2 ** 53 - 1];

  /** Writes bytes to where a piece is, as far as that is the guest's to write. */
  const put = ([address, length]: Piece, bytes: Uint8Array) => {
    if (address < DATA || address + length > MEMORY) return;
    guest.bytes.set(bytes.subarray(0, length), address);
  };
  const size = () => {
    if (direct && !dice.once(4)) return 4096 * (1 + dice.below(4));
    return dice.once(3) ? dice.of([0, 1, 511, 513, 65536, 100_000]) : 512 * (1 + dice.below(16));
  };
  const request = (): Piece[] => {
    const type = dice.once(100) ? dice.of(rare) : dice.of(types);
    const sector = dice.once(20) ? dice.of(sectors) : 8 * dice.below(SECTORS / 8);
    const header = guest.pieces(dice.once(500) ? dice.below(40) : BlkRequestHeader.size, false);
    let data = guest.pieces(size(), dice.once(100) ? dice.once(2) : type !== Type.Out);
    if (direct && data.length > 0 && !dice.once(4)) {
      // Where the disk can reach it.
      const [[address, length, writable]] = data;
      data = [[address & ~4095, (length + 4095) & ~4095, writable]];
    }
    if (type === Type.Discard || type === Type.WriteZeroes) {
      const segment = { sector: dice.below(SECTORS), sectorCount: dice.below(100), flags: 0 };
      data = [[guest.address(BlkDiscardSegment.size), BlkDiscardSegment.size, false]];
      put(data[0], BlkDiscardSegment.encode(segment));
    }
    const isNoise = dice.once(300);
    if (header.length === 1) {
      put(header[0], isNoise ? dice.bytes(16) : BlkRequestHeader.encode({ type, sector }));
    }
    const status: Piece[] = dice.once(300) ? [] : [[guest.address(1), 1, true]];
    return [...header, ...data, ...status];
  };
  const owned = undo.move();
  return {
    guest,
    batch() {
      guest.offer(guest.queues[0], 60, request);
      guest.round();
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

function rngMatch(dice: Dice): Match {
  const guest = new FuzzGuest(new RngDevice(), dice, [0]);
  const request = () => guest.pieces(dice.of([0, 1, 64, 4096, 70_000]), !dice.once(50));
  return {
    guest,
    batch() {
      guest.offer(guest.queues[0], 30, request);
      guest.round();
    },
    [Symbol.dispose]: () => guest[Symbol.dispose](),
  };
}

/** One console, which one guest after the other has: it keeps its place in the window as long as its process lives. */
const [input, typist] = socketPair();
const [output, reader] = socketPair();
for (const end of [typist, reader]) setNonBlocking(end, true);
const terminal = new ConsoleDevice(window, input, output);
const buffer = new Uint8Array(2 ** 17);

function consoleMatch(dice: Dice): Match {
  const guest = new FuzzGuest(terminal, dice, [0, 1]);
  const [receive, send] = guest.queues;
  return {
    guest,
    batch() {
      guest.offer(receive, 20, () => guest.pieces(dice.of([1, 10, 4096]), !dice.once(100)));
      guest.offer(send, 40, () => guest.pieces(dice.of([1, 80, 4096, 20_000]), dice.once(100)));
      write(typist, dice.noise(dice.below(300)));
      if (!dice.once(4)) { while (read(reader, buffer) > 0); }
      guest.round();
    },
    [Symbol.dispose]() {
      guest[Symbol.dispose]();
      // Nothing of it is left for the next one.
      for (const end of [reader, input]) while (pollOne(end, Events.In, 0) > 0) read(end, buffer);
    },
  };
}

const promise = (what: string) =>
  `whatever a guest does, ${what} writes only where it may, and leaves nothing behind`;

fuzzTest({
  name: "blk",
  promise: promise("a disk in the page cache"),
  play: playMatch((dice) => diskMatch(dice, false)),
  turns: 50_000,
  tapeLength: 2 ** 16,
});
fuzzTest({
  name: "blk-direct",
  promise: promise("a disk past the page cache"),
  play: playMatch((dice) => diskMatch(dice, true)),
  // Each request goes to the disk.
  turns: 10_000,
  tapeLength: 2 ** 14,
  ignore: !canOpenDirectly(),
});
fuzzTest({
  name: "rng",
  promise: promise("a source of random numbers"),
  play: playMatch(rngMatch),
  turns: 50_000,
  tapeLength: 2 ** 15,
});
fuzzTest({
  name: "console",
  promise: promise("a console"),
  play: playMatch(consoleMatch),
  // Output that nobody reads takes its time.
  turns: 10_000,
  tapeLength: 2 ** 14,
});
