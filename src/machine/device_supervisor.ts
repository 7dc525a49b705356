import type { Reactor, Window } from "../os/mod.ts";
import type { MachineMemory } from "../memory/mod.ts";
import type { Activation, DoorbellControl, VirtioPciControl } from "../pci/mod.ts";
import {
  BackendRefused,
  countInflight,
  type Frontend,
  type InflightRegion,
  limited,
  ProtocolError,
  type SharedQueue,
} from "../vhost/mod.ts";
import { BackendSearch } from "./backend_search.ts";
import { checkRestored } from "./check_restored.ts";
import type { ConnectedDevice } from "./connect_device.ts";
import { describeDevice, hex } from "./describe_device.ts";
import type { DeviceParts } from "./device_parts.ts";
import type { Log } from "./log.ts";
import { MachineError } from "./outcome.ts";
import { queuesOf, requestsUnderWay, ringIndex } from "./queue_state.ts";
import type { SharedMapping, SharedMappings } from "./shared_mappings.ts";
import { DeviceSharedMemory } from "./shared_memory.ts";
import { unfit } from "./unfit.ts";
import type { DeviceInfo } from "./vm_control.ts";

/** Entries that we offer for a queue; the driver may take fewer. */
const QUEUE_SIZE = 256;

/** Told when a backend is lost, when it stays away, and when another took over. */
export type OnDeviceChange = (
  device: string,
  kind: "device-away" | "device-back",
  detail: string,
) => void;

/** What a supervisor needs of the machine around its device. */
export interface DeviceSurroundings {
  readonly memory: MachineMemory;
  readonly window: Window;
  /** What the devices of the machine show to its guest. */
  readonly mappings: SharedMappings;
  readonly reactor: Reactor;
  readonly log: Log;
  readonly doorbells?: DoorbellControl;
  /** The driver was at work when the machine was saved; see {@linkcode DeviceSupervisor.goOn}. */
  readonly restored: boolean;
  readonly onChange: OnDeviceChange;
}

/**
 * Stands between a device's transport, which the vCPUs service, and its backend: does on the control thread what the
 * driver asks for, and brings a backend back that died. While it is away the guest goes on and its requests wait; no
 * vCPU ever waits for a backend.
 */
export class DeviceSupervisor {
  readonly #parts: DeviceParts;
  readonly #control: VirtioPciControl;
  readonly #around: DeviceSurroundings;
  readonly #log: Log;
  readonly #stopWatching: () => void;
  /** Queues that the driver sees. */
  readonly #queueCount: number;
  /** Undefined while the backend is away. */
  #frontend: Frontend | undefined;
  /** When it was connected, in ticks of `performance.now()`. */
  #connectedAt = 0;
  /** Until another is at work: since when, in such ticks, and who waits for it. */
  #away: { readonly since: number; readonly over: PromiseWithResolvers<void> } | undefined;
  /** What was told last of that. */
  #whyAway = "";
  /** What a backend that died had in hand, for its successor. */
  #inflight: InflightRegion | undefined;
  /** Resolves when the backend that was lost last has ended. */
  #ended = Promise.resolve();
  #work = Promise.resolve();
  /** The backend works on no queue. */
  #resting = false;
  /** What the backend shows to the driver. */
  readonly #shared: DeviceSharedMemory;
  readonly #onMemoryRefused = limited(
    (reason) => this.#log.warn(`direct I/O into some memory of the host fails: ${reason}`),
    1,
  );
  /** The driver's wishes will be looked at. */
  #summoned = false;
  #closed = false;
  /** Ends the search for a new backend. */
  readonly #closing = new AbortController();
  readonly #search: BackendSearch;
  #searching = Promise.resolve();

  constructor(device: ConnectedDevice, control: VirtioPciControl, around: DeviceSurroundings) {
    const { kind, offer, maxQueues, frontend } = device;
    this.#parts = device;
    this.#control = control;
    this.#around = around;
    this.#log = around.log.for({ component: device.name });
    this.#shared = new DeviceSharedMemory(control, {
      window: around.window,
      mappings: around.mappings,
      refused: limited((reason) =>
        this.#log.warn(`memory of the backend is not shown to the guest: ${reason}`)
      ),
    });
    if (kind.doesDirectIo) {
      around.mappings.join({
        add: async (mapping) => {
          if (this.#canUse(mapping)) await this.#frontend?.addMemory(mapping);
        },
        remove: async (mapping) => await this.#frontend?.removeMemory(mapping),
      });
    }
    this.#queueCount = Math.min(offer.queueCount, maxQueues);
    const config = kind.presentConfig(offer.config, this.#queueCount);
    this.#resting = around.restored;
    if (around.restored) {
      const { features } = offer;
      checkRestored(device, control.offered(), { features, queueCount: this.#queueCount, config });
    } else {
      control.setOffered({
        features: offer.features,
        queueSizes: Array<number>(this.#queueCount).fill(QUEUE_SIZE),
        config,
      });
    }
    this.#search = new BackendSearch({
      device,
      reactor: around.reactor,
      unfit: (offer) => unfit(control.activation(), offer),
      onFailure: (message) => this.#tellAway(message),
    });
    device.doorbells?.attach(around.doorbells);
    this.#adopt(frontend);
    this.#stopWatching = around.reactor.add(control.attention.fd, () => this.#summon());
  }

  get name(): string {
    return this.#parts.name;
  }

  get info(): DeviceInfo {
    const { away = this.#whyAway, ...known } = describeDevice(this.#parts);
    return {
      ...known,
      ...(this.#frontend === undefined ? { away } : { state: "connected" }),
      queues: queuesOf(this.#control, this.#around.memory),
      features: hex(this.#control.driver().features),
    };
  }

  /**
   * Takes all queues from the backend until {@linkcode goOn}: it has nothing in hand then, and leaves memory alone. No
   * vCPU may run meanwhile.
   *
   * @throws {MachineError} when there is no backend, or it does not obey
   */
  async rest(): Promise<void> {
    const refuse = (reason: string) => {
      throw new MachineError("host", `The device ${this.name} cannot rest: ${reason}. Try again.`);
    };
    const AWAY = "its backend is away";
    // What is under way may wait for that one, too.
    if (this.#frontend === undefined) refuse(AWAY);
    await this.#inTurn(async () => {
      const frontend = this.#frontend;
      if (frontend === undefined) return refuse(AWAY);
      this.#resting = true;
      if (this.#control.activation() === undefined) return;
      try {
        const bases = await frontend.stop({ reset: false });
        for (const { index, base } of bases) this.#control.saveBase(index, base);
      } catch (error) {
        if (this.#frontend === frontend) this.#lose(frontend, messageOf(error));
        refuse(messageOf(error));
      }
    });
  }

  /** Lets the backend go on after {@linkcode rest}, and start for a driver that was restored. */
  async goOn(): Promise<void> {
    if (!this.#resting) return;
    await this.#inTurn(async () => {
      if (!this.#resting) return;
      this.#resting = false;
      const activation = this.#control.activation();
      if (activation !== undefined) await this.#start(activation);
    });
  }

  /**
   * Ends the backend and brings a new one. Resolves when that is at work, or when it has not come within so many
   * milliseconds; it is looked for all the same.
   */
  async restart(patience: number): Promise<void> {
    if (this.#frontend !== undefined) this.#lose(this.#frontend, "The backend is restarted");
    // It may be on its way and hang.
    else if (this.#parts.backend.pid !== undefined) this.#parts.backend.kill();
    this.#search.hurry();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, patience);
    await Promise.race([this.#away?.over.promise, late.promise]);
    clearTimeout(timer);
  }

  /** Closes the connection; resolves when the backend has ended. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing.abort();
    this.#parts.backend.abandon?.();
    this.#away?.over.resolve();
    this.#stopWatching();
    this.#frontend?.[Symbol.dispose]();
    this.#inflight?.[Symbol.dispose]();
    await this.#searching;
    await this.#work;
    // One that is only just coming back is not waited for.
    if (this.#frontend === undefined) this.#parts.backend.kill();
    await this.#parts.backend.finish();
    await this.#shared.clear();
    this.#parts.doorbells?.end();
    this.#parts.doorbells?.attach(undefined);
  }

  /** A driver may ask again and again while we wait for its backend: one look answers all. */
  #summon(): void {
    this.#control.attention.drain();
    if (this.#summoned) return;
    this.#summoned = true;
    this.#enqueue(() => this.#serve());
  }

  /** One thing at a time, in order. A step that comes when the device is closed has only to let go. */
  #enqueue(step: () => Promise<void>): void {
    this.#work = this.#work.then(step).catch((error) => {
      if (!this.#closed) this.#log.error(messageOf(error));
    });
  }

  /** As {@link #enqueue}, and tells how it went. */
  #inTurn(step: () => Promise<void>): Promise<void> {
    const done = this.#work.then(step);
    this.#work = done.catch(() => {});
    return done;
  }

  #adopt(frontend: Frontend): void {
    this.#frontend = frontend;
    this.#connectedAt = performance.now();
    const { kind } = this.#parts;
    frontend.sharedMemory = this.#shared;
    frontend.onMemoryRefused = this.#onMemoryRefused;
    frontend.onConfigChange = (config) =>
      this.#control.updateConfig(kind.presentConfig(config, this.#queueCount));
    frontend.onDisconnect = (error) => {
      if (this.#closed || this.#frontend !== frontend) return;
      if (error instanceof ProtocolError) this.#control.markBroken();
      this.#lose(frontend, messageOf(error));
    };
    // It may have ended again before anybody listened.
    if (frontend.error !== undefined) frontend.onDisconnect(frontend.error);
  }

  /** Does what the driver wants. */
  async #serve(): Promise<void> {
    this.#summoned = false;
    while (!this.#closed) {
      const request = this.#control.poll();
      if (request === undefined) return;
      switch (request.kind) {
        case "fault":
          this.#log.warn(request.reason);
          break;
        case "activate":
          await this.#start(request);
          break;
        case "reset":
          await this.#stop();
          await this.#shared.clear();
          this.#parts.doorbells?.clear();
          this.#control.completeReset();
          break;
        case "config-write":
          await this.#attempt((frontend) => frontend.setConfig(request.offset, request.bytes));
      }
    }
  }

  async #start({ features, queues }: Activation): Promise<void> {
    const { memory, window } = this.#around;
    const userAddress = (guestAddress: number) => window.base + memory.ramBase + guestAddress;
    await this.#attempt((frontend) => {
      const inflight = this.#inflight;
      this.#inflight = undefined;
      return frontend.start({
        features,
        memory: memory.regions.map(({ guestAddress, size, fd }) => (
          { guestAddress, size, userAddress: userAddress(guestAddress), fd }
        )),
        added: () => this.#added(),
        queues: queues.map((queue): SharedQueue => ({
          ...queue,
          desc: userAddress(queue.desc),
          avail: userAddress(queue.avail),
          used: userAddress(queue.used),
          kick: this.#control.events.kicks[queue.index].fd,
          call: this.#control.events.calls[queue.index].fd,
        })),
        inflight,
      });
    });
    await this.#repeatConfig();
  }

  /** What other devices show to the guest, as far as the backend has to know. */
  #added(): SharedMapping[] {
    if (!this.#parts.kind.doesDirectIo) return [];
    return [...this.#around.mappings.current].filter((mapping) => this.#canUse(mapping));
  }

  /** Other programs than ours map all memory so that they can write to it, and give up where they cannot. */
  #canUse({ writable }: SharedMapping): boolean {
    return writable || this.#parts.backend.kind !== "foreign";
  }

  /** What the driver has written into the device's configuration (a disk's cache mode) is news to a new backend. */
  async #repeatConfig(): Promise<void> {
    const { kind } = this.#parts;
    const { config } = this.#control.offered();
    for (const { offset, size } of kind.writableConfig) {
      const wanted = config.slice(offset, offset + size);
      await this.#attempt(async (frontend) => {
        const has = (await frontend.readConfig()).subarray(offset, offset + size);
        if (has.length === size && has.some((byte, i) => byte !== wanted[i])) {
          await frontend.setConfig(offset, wanted);
        }
      });
    }
  }

  /** Makes the backend leave guest memory alone: by asking it, else by ending its process. */
  async #stop(): Promise<void> {
    await this.#attempt((frontend) => frontend.stop().then(() => {}), false);
    // Of no use to the next driver, also when the backend was lost only now.
    this.#inflight?.[Symbol.dispose]();
    this.#inflight = undefined;
  }

  /** Asks the backend, if there is one. One that does not answer is ended; its successor is told what it missed. */
  async #attempt(ask: (frontend: Frontend) => Promise<void>, mayRefuse = true): Promise<void> {
    const frontend = this.#frontend;
    if (frontend === undefined) return await this.#ended;
    try {
      await ask(frontend);
    } catch (error) {
      if (this.#closed) return;
      if (mayRefuse && error instanceof BackendRefused) return this.#log.warn(messageOf(error));
      // A broken connection may have been noticed already.
      if (this.#frontend === frontend) this.#lose(frontend, messageOf(error));
      await this.#ended;
    }
  }

  /** The backend is away from here on; a new one is looked for. */
  #lose(frontend: Frontend, reason: string): void {
    const { memory, window } = this.#around;
    const now = performance.now();
    // One that never was at work leaves what its predecessor had in hand.
    this.#inflight = frontend.takeInflight() ?? this.#inflight;
    const taken = this.#inflight && countInflight(this.#inflight, window);
    const requests = `requests under way: ${requestsUnderWay(queuesOf(this.#control, memory))}` +
      (taken === undefined ? "" : `, taken: ${taken}`);
    this.#frontend = undefined;
    this.#away ??= { since: now, over: Promise.withResolvers() };
    if (this.#parts.kind.diesWithBackend) this.#control.markBroken();
    this.#parts.doorbells?.end();
    this.#search.lost(now - this.#connectedAt);
    this.#tellAway(`${reason}; ${requests}; ${this.#search.outlook}`);
    frontend[Symbol.dispose]();
    this.#parts.backend.kill();
    this.#ended = this.#parts.backend.finish();
    this.#searching = this.#bringBack();
  }

  #tellAway(message: string): void {
    this.#whyAway = message;
    this.#log.warn(message);
    this.#around.onChange(this.name, "device-away", message);
  }

  /** Looks for a new backend, until there is one or the machine ends. */
  async #bringBack(): Promise<void> {
    const found = await this.#search.find(this.#closing.signal);
    if (found !== undefined) this.#enqueue(() => this.#welcome(found.frontend));
  }

  /** Repeats the handshake with a new backend; what the driver made available meanwhile is then served. */
  async #welcome(frontend: Frontend): Promise<void> {
    if (this.#closed) return frontend[Symbol.dispose]();
    this.#adopt(frontend);
    // A driver that has to begin anew starts the backend itself, then.
    const waits = this.#parts.kind.diesWithBackend && this.#control.needsReset;
    const activation = waits ? undefined : this.#control.activation();
    if (activation !== undefined && !this.#resting) {
      const queues = activation.queues.map((queue) => (
        { ...queue, base: ringIndex(this.#around.memory, queue.used) }
      ));
      await this.#start({ ...activation, queues });
      // The dead one may have used buffers without saying so.
      for (const { index } of queues) this.#control.events.calls[index].signal();
    }
    if (this.#frontend !== frontend) return;
    this.#parts.history.restarts++;
    const { since = this.#connectedAt, over } = this.#away ?? {};
    this.#away = undefined;
    over?.resolve();
    const after = `after ${Math.round(performance.now() - since)} ms`;
    this.#log.info(`the backend is back ${after}`);
    this.#around.onChange(this.name, "device-back", after);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
