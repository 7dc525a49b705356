import assert from "node:assert/strict";
import {
  type Fd,
  fileStat,
  listenUnix,
  memfd,
  openFile,
  type Owned,
  Reactor,
  socketPair,
} from "../os/mod.ts";
import { Starter } from "../sandbox/mod.ts";
import { BlkConfig } from "../virtio/mod.ts";
import { reply, type Script, ScriptedBackend, type ScriptedOptions } from "../vhost/testing.ts";
import { type Backend, ForeignBackend, WorkerBackend } from "./backend.ts";
import type { SharedMapping } from "./shared_mappings.ts";
import { BLOCK, type Request, SupervisedDisk, until, window } from "./testing/supervised_disk.ts";
import { startWorker, type Worker } from "./worker.ts";

const BLOCKS = 64;
const DEPTH = 16;
/** Requests that the driver's memory has room for. */
const MOST_PLACED = 800;
/** By hand `SPECTRUM_KILLS=500`. */
const KILLS = Number(Deno.env.get("SPECTRUM_KILLS") ?? 5);

/** What a test of a disk with a real worker has. */
interface Place {
  readonly reactor: Reactor;
  readonly starter: Starter;
  readonly folder: string;
  readonly image: string;
}

async function withPlace(body: (place: Place) => Promise<void>): Promise<void> {
  const folder = Deno.makeTempDirSync();
  const image = `${folder}/disk.img`;
  Deno.writeFileSync(image, new Uint8Array(BLOCKS * BLOCK));
  using reactor = new Reactor();
  const starter = Starter.spawn(reactor);
  try {
    await body({ reactor, starter, folder, image });
  } finally {
    await starter.close();
    Deno.removeSync(folder, { recursive: true });
  }
}

/** A disk whose worker is ours. */
async function withWorker(
  body: (disk: SupervisedDisk, backend: WorkerBackend, place: Place) => Promise<void>,
): Promise<void> {
  await withPlace(async (place) => {
    using file = openFile(place.image, { write: true });
    const backend = new WorkerBackend(place.starter, blk(file));
    await using disk = await SupervisedDisk.create(backend, place.reactor);
    disk.start();
    await body(disk, backend, place);
  });
}

function blk(file: Owned<Fd>) {
  return { kind: "blk", disk: file.borrow(), readonly: false, cache: "auto", queues: 1 } as const;
}

function signal({ pid }: WorkerBackend, name: Deno.Signal): void {
  if (pid !== undefined) Deno.kill(pid, name);
}

/** A block that tells its place and a number. */
function stamped(block: number, number: number): Uint8Array {
  return new Uint8Array(
    Uint32Array.from({ length: BLOCK / 4 }, (_, i) => i % 2 ? number : block).buffer,
  );
}

/** Keeps writes to random blocks under way, and knows what must be on the disk. */
class Load {
  readonly written = new Uint32Array(BLOCKS);
  completed = 0;
  #number = 0;
  #freedAt = 0;
  readonly #underWay = new Map<number, { request: Request; block: number; number: number }>();

  constructor(private readonly disk: SupervisedDisk) {}

  /** Takes what is done, and asks for more. */
  step(more = true): number {
    for (const { head } of this.disk.queue.takeUsed()) {
      const done = this.#underWay.get(head);
      assert.ok(done !== undefined, "a request is answered twice");
      this.#underWay.delete(head);
      assert.equal(this.disk.statusOf(done.request), 0, "a write failed");
      this.written[done.block] = done.number;
      this.completed++;
    }
    if (this.#number - this.#freedAt > MOST_PLACED) {
      if (this.#underWay.size > 0) return this.#underWay.size;
      this.disk.queue.freePlaces();
      this.#freedAt = this.#number;
    }
    const busy = new Set([...this.#underWay.values()].map(({ block }) => block));
    while (more && this.#underWay.size < DEPTH) {
      const block = Math.floor(Math.random() * BLOCKS);
      if (busy.has(block)) continue;
      busy.add(block);
      const number = ++this.#number;
      const request = this.disk.write(block, stamped(block, number));
      this.#underWay.set(request.head, { request, block, number });
    }
    return this.#underWay.size;
  }

  check(image: string): void {
    const bytes = Deno.readFileSync(image);
    for (const [block, number] of this.written.entries()) {
      const found = bytes.subarray(block * BLOCK, (block + 1) * BLOCK);
      assert.deepEqual(found, number === 0 ? new Uint8Array(BLOCK) : stamped(block, number));
    }
  }
}

Deno.test("a worker that is killed under load loses no request and repeats none harmfully", async () => {
  await withWorker(async (disk, backend, { image }) => {
    const load = new Load(disk);
    const { changes } = disk;
    for (let kill = 1; kill <= KILLS; kill++) {
      const from = load.completed;
      // Long enough that it does not count as one that dies again and again.
      const moment = performance.now() + 500 + 100 * Math.random();
      await until(() => load.step() >= 0 && performance.now() > moment);
      assert.ok(load.completed > from);
      const { pid } = backend;
      signal(backend, "SIGKILL");
      await until(() => load.step() >= 0 && changes.length >= 2 * kill, 20_000);
      assert.notEqual(backend.pid, pid);
    }
    await until(() => load.step(false) === 0);
    load.check(image);
    assert.deepEqual(
      changes.map(({ kind }) => kind),
      Array.from({ length: 2 * KILLS }, (_, i) => i % 2 ? "device-back" : "device-away"),
    );
    const busy = changes.filter(({ detail }) => /, taken: [1-9]/.test(detail)).length;
    assert.ok(busy > 0, "no worker had requests in hand");
  });
});

Deno.test("a worker that is stopped for a while keeps its requests, and nobody notices", async () => {
  await withWorker(async (disk, backend, { image }) => {
    const load = new Load(disk);
    await until(() => load.step() >= 0 && load.completed > 100);
    signal(backend, "SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 50));
    load.step();
    const { completed } = load;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    load.step();
    assert.equal(load.completed, completed);
    signal(backend, "SIGCONT");
    await until(() => load.step() >= 0 && load.completed > completed + 100);
    await until(() => load.step(false) === 0);
    load.check(image);
    assert.deepEqual(disk.changes, []);
  });
});

Deno.test("a restart replaces the worker, also one that hangs, and says when the new one is at work", async () => {
  await withWorker(async (disk, backend, { image }) => {
    const load = new Load(disk);
    for (const hang of [false, true]) {
      const { completed } = load;
      await until(() => load.step() >= 0 && load.completed > completed);
      const { pid } = backend;
      if (hang) signal(backend, "SIGSTOP");
      await disk.supervisor.restart(20_000);
      assert.notEqual(backend.pid, pid);
      assert.equal(disk.supervisor.info.state, "connected");
    }
    await until(() => load.step(false) === 0);
    load.check(image);
    assert.equal(disk.supervisor.info.restarts, 2);
    assert.match(
      disk.changes[0].detail,
      /^The backend is restarted; requests under way: \d+, taken: \d+; the next/,
    );
  });
});

Deno.test("a disk reads into memory of other devices, and so does each new worker of it", async () => {
  await withWorker(async (disk, backend, { image }) => {
    Deno.writeFileSync(image, stamped(0, 7));
    using shared = memfd("shared", 2 * BLOCK);
    const place = window.allocate(2 * BLOCK);
    window.mapFd(place, 2 * BLOCK, shared, 0);
    const mapping = (guestAddress: number) => ({
      ...{ guestAddress, size: BLOCK, userAddress: guestAddress + 2 ** 42, writable: true },
      ...{ fd: shared.dup(), fdOffset: BLOCK },
    });
    const first = mapping(2 ** 40), second = mapping(2 ** 41);
    const read = async ({ guestAddress }: SharedMapping) => {
      window.bytes(place, 2 * BLOCK).fill(0);
      const request = disk.readInto(0, guestAddress);
      await disk.used(1);
      const status = disk.statusOf(request);
      const found = window.bytes(place + BLOCK, BLOCK);
      assert.deepEqual(found, status === 0 ? stamped(0, 7) : new Uint8Array(BLOCK));
      return status;
    };
    assert.equal(await read(first), 1, "nobody knows of it");
    await disk.mappings.add(first);
    assert.equal(await read(first), 0);
    signal(backend, "SIGKILL");
    await until(() => disk.changes.length === 2);
    assert.equal(await read(first), 0);

    // A worker that does not answer is lost over it, and holds it up no longer.
    signal(backend, "SIGSTOP");
    await disk.mappings.add(second);
    assert.equal(disk.changes.length, 3);
    assert.match(disk.changes[2].detail, /AddMemReg/);
    await until(() => disk.changes.length === 4);
    assert.equal(await read(second), 0);
    await disk.mappings.remove(first);
    assert.equal(await read(first), 1);
    await disk.reset();
    await disk.mappings.remove(second);
    disk.start();
    assert.equal(await read(second), 1);
    window.free(place, 2 * BLOCK);
  });
});

Deno.test("a device whose worker hangs can be closed, and reset", async () => {
  await withWorker(async (disk, backend) => {
    disk.write(1, stamped(1, 1));
    await disk.used(1);
    signal(backend, "SIGSTOP");
    disk.write(1, stamped(1, 2));
    // It has its time for an answer, then it is ended, and only then the driver's memory is its own again.
    await disk.reset();
    await until(() => disk.changes.length === 2);
    disk.start();
    const request = disk.read(1);
    await disk.used(1);
    assert.deepEqual(disk.dataOf(request), stamped(1, 1));
    signal(backend, "SIGSTOP");
  });
});

Deno.test("a foreign backend is waited for, while its driver may begin anew", async () => {
  await withPlace(async ({ reactor, starter, folder, image }) => {
    const path = `${folder}/disk.sock`;
    const serve = async (): Promise<Worker> => {
      using file = openFile(image, { write: true });
      using listening = listenUnix(path);
      const frontend = { how: "listening", socket: listening.borrow() } as const;
      const worker = await startWorker(starter, blk(file), frontend);
      await worker.ready;
      return worker;
    };
    const end = async ({ child }: Worker) => {
      child.kill();
      await child.exited;
    };
    let worker = await serve();
    await using disk = await SupervisedDisk.create(new ForeignBackend(path), reactor);
    disk.start();
    disk.write(1, stamped(1, 1));
    await disk.used(1);
    await end(worker);
    await until(() =>
      disk.changes.some(({ detail }) => /nobody listens there; .*failure 4/.test(detail))
    );
    Deno.removeSync(path);
    const lost = disk.write(2, stamped(2, 2));
    await disk.reset();
    disk.start();
    const request = disk.read(1);
    await until(() =>
      disk.changes.some(({ detail }) => /there is no such socket; that was/.test(detail))
    );
    assert.equal(disk.supervisor.info.state, "away");
    await disk.supervisor.restart(10);
    assert.equal(disk.supervisor.info.state, "away", "nobody is there");
    worker = await serve();
    await disk.used(1);
    assert.deepEqual(disk.dataOf(request), stamped(1, 1));
    assert.equal(disk.statusOf(lost), 0xff, "a request of the driver before");
    await until(() => /^after \d+ ms$/.test(disk.changes.at(-1)?.detail ?? ""));

    Deno.removeSync(path);
    await disk.supervisor.restart(10);
    assert.equal(disk.supervisor.info.state, "away", "it was not ours to end, and hides");
    await end(worker);
    worker = await serve();
    await until(() => disk.supervisor.info.state === "connected");
    await end(worker);
  });
});

/** A backend whose connections each go by a script. */
class ScriptedSource implements Backend {
  readonly kind = "foreign";
  readonly pid = undefined;
  readonly permissions = "";
  readonly failure = undefined;
  readonly connections: ScriptedBackend[] = [];

  constructor(private readonly reactor: Reactor, private readonly scripts: readonly Script[]) {}

  connect(): Promise<Owned<Fd>> {
    const [ours, theirs] = socketPair();
    using _moved = theirs;
    const { length } = this.connections;
    const script = this.scripts[Math.min(length, this.scripts.length - 1)];
    this.connections.push(new ScriptedBackend(theirs, this.reactor, OPTIONS, script));
    return Promise.resolve(ours);
  }

  kill(): void {}

  finish(): Promise<void> {
    return Promise.resolve();
  }
}

const CONFIG = new Uint8Array(BlkConfig.offset.maxSecureEraseSectors);
/** MQ, REPLY_ACK, CONFIG, INFLIGHT_SHMFD. */
const OPTIONS: ScriptedOptions = {
  protocolFeatures: 1n | 1n << 3n | 1n << 9n | 1n << 12n,
  config: CONFIG,
  makeInflight: () => memfd("notes", 4096),
};
const SET_VRING_ENABLE = 18, GET_CONFIG = 24, SET_INFLIGHT_FD = 32;

const obeys: Script = () => undefined;
const endsWhenAskedForConfig: Script = ({ request, payload }) =>
  request === GET_CONFIG ? [reply(GET_CONFIG, payload.slice(0, 12), CONFIG), "hang up"] : undefined;

Deno.test("what a backend had in hand outlives a successor that never begins", async () => {
  using reactor = new Reactor();
  const source = new ScriptedSource(reactor, [obeys, endsWhenAskedForConfig, obeys]);
  await using disk = await SupervisedDisk.create(source, reactor);
  disk.start();
  const notesOf = (connection: ScriptedBackend) => {
    const given = connection.heard.find(({ request }) => request === SET_INFLIGHT_FD);
    return given && fileStat(given.fds[0]).ino;
  };
  const [first] = source.connections;
  await until(() => first.order.includes(SET_VRING_ENABLE));
  first.close();
  await until(() => disk.changes.at(-1)?.kind === "device-back");
  assert.equal(source.connections.length, 3);
  const notes = notesOf(first);
  assert.ok(notes !== undefined);
  assert.deepEqual(source.connections.map(notesOf), [notes, undefined, notes]);
  for (const connection of source.connections) connection[Symbol.dispose]();
});

Deno.test("a backend that dies again and again is tried ever more rarely, and that is said", async () => {
  using reactor = new Reactor();
  const source = new ScriptedSource(reactor, [obeys, endsWhenAskedForConfig]);
  await using disk = await SupervisedDisk.create(source, reactor);
  source.connections[0].close();
  await until(() => disk.changes.length >= 5);
  assert.deepEqual(
    disk.changes.slice(0, 5).map(({ detail }) => detail.replace(/^.*under way: 0; /, "")),
    [
      "the next attempt is in 50 ms",
      ...[[2, 100], [3, 200], [4, 400], [5, 800]].map(([failures, pause]) =>
        `that was failure ${failures} in a row, the next attempt is in ${pause} ms`
      ),
    ],
  );
  assert.equal(
    disk.lines.filter((line) => line.startsWith("warn: disk0: ")).length,
    disk.changes.length,
  );
  for (const connection of source.connections) connection[Symbol.dispose]();
});
