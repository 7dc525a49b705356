import { startWorker } from "../../../src/machine/mod.ts";
import { MachineMemory } from "../../../src/memory/mod.ts";
import {
  addSeals,
  connectUnix,
  type ExitStatus,
  type Fd,
  listenUnix,
  memfd,
  type Owned,
  type Reactor,
  Seal,
  socketPair,
  type Window,
} from "../../../src/os/mod.ts";
import type { Starter } from "../../../src/sandbox/mod.ts";
import { Frontend, type InflightRegion, type SharedMemoryHost } from "../../../src/vhost/mod.ts";
import { DrivenQueue } from "./driven_queue.ts";
import { count, type Load } from "./load.ts";

const MEMORY = 2 ** 26;
/** Of each queue in guest memory. */
const PART = 2 ** 23;
const QUEUE_SIZE = 64;
/** Where memory of others is added. */
const MORE_AT = 2 ** 40;
const MORE = 2 ** 16;

/** What a worker wants to show to its guest is taken, and not looked at. */
const mapper: SharedMemoryHost = {
  map: () => Promise.resolve(true),
  unmap: () => Promise.resolve(true),
};

/** Where workers are started. */
export interface Place {
  readonly starter: Starter;
  readonly reactor: Reactor;
  readonly window: Window;
  readonly folder: string;
}

type Worker = Awaited<ReturnType<typeof startWorker>>;

/** A worker in its jail, with the test as its monitor, its frontend and its guest's driver. */
export class DrivenDevice implements AsyncDisposable {
  readonly queues: readonly DrivenQueue[];
  readonly memory: MachineMemory;
  /** Rejects when the worker ends, or the connection is lost, and nobody has brought that about. */
  readonly trouble: Promise<never>;
  readonly #fail: (error: Error) => void;
  #frontend: Frontend | undefined;
  #worker: Worker | undefined;
  #isEnding = false;
  #listener: Owned<Fd> | undefined;
  #connected: Owned<Fd> | undefined;
  #workers = 0;

  constructor(private readonly place: Place, readonly load: Load) {
    const { window } = place;
    this.memory = MachineMemory.create(window, MEMORY);
    this.queues = Array.from({ length: load.queues }, (_, i) => (
      new DrivenQueue(i, QUEUE_SIZE, {
        buffer: window.buffer,
        base: this.memory.ramBase,
        memoryBytes: (i + 1) * PART,
        from: i * PART,
      })
    ));
    for (const queue of this.queues) place.reactor.add(queue.call, () => queue.collect());
    const trouble = Promise.withResolvers<never>();
    this.trouble = trouble.promise;
    this.trouble.catch(() => {});
    this.#fail = trouble.reject;
  }

  get pid(): number {
    return this.worker.child.pid;
  }

  get worker(): Worker {
    if (this.#worker === undefined) throw new Error("There is no worker");
    return this.#worker;
  }

  get frontend(): Frontend {
    if (this.#frontend === undefined) throw new Error("There is no frontend");
    return this.#frontend;
  }

  /** Starts a worker, which serves one frontend, or one after the other. */
  async spawn(how: "connected" | "listening"): Promise<void> {
    const { starter } = this.place;
    const { load } = this;
    const device = load.device();
    this.#isEnding = false;
    if (how === "connected") {
      const [ours, theirs] = socketPair();
      using socket = theirs;
      this.#connected = ours;
      const frontend = { how, socket: socket.borrow() };
      this.#worker = await startWorker(starter, device, frontend, load.services);
    } else {
      const path = this.#path(++this.#workers);
      const listener = this.#listener = listenUnix(path);
      const frontend = { how, socket: listener.borrow() };
      this.#worker = await startWorker(starter, device, frontend, load.services);
    }
    void this.#worker.child.exited.then((end) => this.#ended(end));
    await this.#worker.ready;
    count(load, "workers");
  }

  #path(number: number): string {
    return `${this.place.folder}/frontend-${number}.sock`;
  }

  #ended(end: ExitStatus): void {
    if (!this.#isEnding) this.#fail(new Error(`The worker has ended: ${JSON.stringify(end)}`));
  }

  /** Connects a frontend, and lets the worker work: on fresh queues, or on where its predecessor was. */
  async connect(inflight?: InflightRegion): Promise<void> {
    const { load, queues, memory, place } = this;
    const socket = this.#connected?.move() ?? connectUnix(this.#path(this.#workers));
    this.#connected = undefined;
    const frontend = this.#frontend = new Frontend(socket, place.reactor, {
      name: "soak",
      configSize: load.configSize,
      queueCount: queues.length,
      hasSharedMemory: load.hasSharedMemory,
      addsMemory: true,
      onDisconnect: (error) => {
        if (!this.#isEnding) this.#fail(error);
      },
    });
    frontend.sharedMemory = mapper;
    const { features } = await frontend.negotiate();
    if (inflight === undefined) {
      for (const queue of queues) queue.restart();
    }
    const base = place.window.base + memory.ramBase;
    await frontend.start({
      features: features & load.features,
      memory: memory.regions.map(({ guestAddress, size, fd }) => (
        { guestAddress, size, userAddress: base + guestAddress, fd }
      )),
      queues: queues.map((queue) => queue.shared(base)),
      inflight,
    });
    if (inflight === undefined) load.begin?.(this);
    for (const queue of queues) queue.kick();
    count(load, "connections");
  }

  /** The driver takes its queues back, and the connection ends. */
  async leave(): Promise<void> {
    await this.frontend.stop();
    this.frontend[Symbol.dispose]();
    this.#frontend = undefined;
  }

  /** Shows the worker memory of others, to write and to read only, and takes it away. */
  async changeMemory(): Promise<void> {
    using memory = memfd("more", MORE);
    using readOnly = memfd("less", MORE, { seal: false });
    addSeals(readOnly, Seal.Shrink | Seal.Write);
    const at = (guestAddress: number, fd: Fd) => (
      { guestAddress, size: MORE, userAddress: guestAddress, fd }
    );
    for (const region of [at(MORE_AT, memory), at(MORE_AT + MORE, readOnly)]) {
      await this.frontend.addMemory(region);
      await this.frontend.removeMemory(region);
    }
    count(this.load, "memory changes");
  }

  /** Breaks the connection off. What is under way stays under way, and is told by what this returns. */
  hangUp(): InflightRegion | undefined {
    const inflight = this.frontend.takeInflight();
    this.frontend[Symbol.dispose]();
    this.#frontend = undefined;
    if (this.load.resumes) return inflight;
    inflight?.[Symbol.dispose]();
  }

  /** Ends the worker by a signal. */
  async kill(): Promise<void> {
    this.#isEnding = true;
    this.worker.child.kill();
    const end = await this.#gone();
    if (!("signal" in end && end.signal === 9)) {
      throw new Error(`The worker had ended: ${JSON.stringify(end)}`);
    }
  }

  /** Waits for the end of a worker whose frontend has hung up. */
  async finish(): Promise<ExitStatus> {
    this.#isEnding = true;
    return await this.#gone();
  }

  async #gone(): Promise<ExitStatus> {
    const end = await this.worker.child.exited;
    this.#worker = undefined;
    this.#listener?.[Symbol.dispose]();
    this.#listener = undefined;
    return end;
  }

  /** The worker stands still for a while. */
  async stopAWhile(milliseconds: number): Promise<void> {
    this.worker.child.kill(19);
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    this.#worker?.child.kill(18);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    this.#frontend?.[Symbol.dispose]();
    this.#worker?.child.kill();
    if (this.#worker !== undefined) await this.#gone();
    for (const queue of this.queues) queue[Symbol.dispose]();
    this.memory[Symbol.dispose]();
  }
}
