import { Reactor } from "../../../src/os/mod.ts";
import { window } from "../../../src/devices/testing.ts";
import { Starter } from "../../../src/sandbox/mod.ts";
import { DrivenDevice } from "./driven_device.ts";
import { below, count, type Load, pause } from "./load.ts";

/** How long a worker stands still now and then, in milliseconds. */
const STOP = 30;
/** How long there is load on one connection at least, in milliseconds; in a long run there are fewer and longer ones. */
const SESSION = 700;
const MOST_SESSIONS = 30;
const SHORT = 100;
const SESSIONS = 4;
/** How long a round may take at most, in milliseconds. */
const PATIENCE = 30_000;

/** Where and how long there is load. */
export interface SoakOptions {
  /** For sockets of frontends. */
  readonly folder: string;
  readonly milliseconds: number;
}

/**
 * Keeps a kind of device at work: worker after worker, each with several connections of its frontend or with one, which
 * ends in all ways there are. Throws when a worker ends that nobody has ended, or does something else than it should.
 */
export async function soak(load: Load, { folder, milliseconds }: SoakOptions): Promise<void> {
  const end = performance.now() + milliseconds;
  const length = Math.max(SESSION, milliseconds / MOST_SESSIONS);
  await withDevice(load, folder, async (device) => {
    for (let life = 0; performance.now() < end; life++) {
      await (life % 3 === 2 ? oneConnection(device, length) : manyConnections(device, length));
    }
  });
}

/** The same once, as quickly as can be. */
export async function exercise(load: Load, folder: string): Promise<void> {
  await withDevice(load, folder, async (device) => {
    await oneConnection(device, SHORT);
    await manyConnections(device, SHORT);
  });
}

async function withDevice(
  load: Load,
  folder: string,
  use: (device: DrivenDevice) => Promise<void>,
): Promise<void> {
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  try {
    await using device = new DrivenDevice({ starter, reactor, window, folder }, load);
    await Promise.race([use(device), device.trouble]);
  } finally {
    await starter.close();
  }
}

/** A worker that ends with its frontend. */
async function oneConnection(device: DrivenDevice, length: number): Promise<void> {
  await device.spawn("connected");
  await device.connect();
  await session(device, length);
  device.hangUp()?.[Symbol.dispose]();
  const how = await device.finish();
  if (!("status" in how && how.status === 0)) {
    throw new Error(`A worker ends with its frontend as ${JSON.stringify(how)}`);
  }
}

/** A worker that listens, until it is killed; who follows it takes over what it had in hand. */
async function manyConnections(device: DrivenDevice, length: number): Promise<void> {
  await device.spawn("listening");
  await device.connect();
  for (let i = 1; i <= SESSIONS; i++) {
    await session(device, length);
    if (i % 2 === 0) {
      await device.leave();
      await device.connect();
      continue;
    }
    device.load.leave(device);
    const inflight = device.hangUp();
    if (i === SESSIONS - 1) {
      await device.kill();
      await device.spawn("listening");
    }
    await device.connect(inflight);
  }
  await device.leave();
  await device.kill();
}

async function session(device: DrivenDevice, length: number): Promise<void> {
  const end = performance.now() + length;
  do {
    const round = device.load.round(device);
    if (below(8) === 0) {
      await device.stopAWhile(STOP);
      count(device.load, "stops");
    }
    await within(PATIENCE, round);
    await device.changeMemory();
    if (device.load.configSize > 0) await device.frontend.readConfig();
  } while (performance.now() < end);
  // The engine tidies up when there is nothing to do.
  await pause(length / 10);
}

async function within(milliseconds: number, done: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`Something was not answered in ${milliseconds} ms`)),
    milliseconds,
  );
  await Promise.race([done, late.promise]).finally(() => clearTimeout(timer));
}
