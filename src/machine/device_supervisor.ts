import type { Reactor, Window } from "../os/mod.ts";
import type { MachineMemory } from "../memory/mod.ts";
import type { Activation, DoorbellControl, VirtioPciControl } from "../pci/mod.ts";
import {
  BackendRefused,
  type Frontend,
  type InflightRegion,
  limited,
  type Negotiated,
  ProtocolError,
  type SharedQueue,
} from "../vhost/mod.ts";
import { BackendSearch } from "./backend_search.ts";
import type { ConnectedDevice } from "./connect_device.ts";
import { describeDevice, hex } from "./describe_device.ts";
import type { DeviceParts } from "./device_parts.ts";
import type { Log } from "./log.ts";
import { MachineError } from "./outcome.ts";
import { DeviceSharedMemory } from "./shared_memory.ts";
import type { DeviceInfo } from "./vm_control.ts";

/** Entries that we offer for a queue; the driver may take fewer. */
const QUEUE_SIZE = 256;

/** What a supervisor needs of the machine around its device. */
export interface DeviceSurroundings {
  readonly memory: MachineMemory;
  readonly window: Window;
  readonly reactor: Reactor;
  readonly log: Log;
  readonly doorbells?: DoorbellControl;
  /** The driver was at work when the machine was saved; see {@linkcode DeviceSupervisor.goOn}. */
  readonly restored: boolean;
  /** Told when a backend is lost, and when another took over. */
  readonly onChange: (device: string, kind: "device-away" | "device-back", detail?: string) => void;
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
  /** What a backend that died had in hand, for its successor. */
  #inflight: InflightRegion | undefined;
  /** Resolves when the backend that was lost last has ended. */
  #ended = Promise.resolve();
  #work = Promise.resolve();
  /** The backend works on no queue. */
  #resting = false;
  /** What the backend shows to the driver. */
  readonly #shared: DeviceSharedMemory;
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
    this.#shared = new DeviceSharedMemory(
      around.window,
      control,
      limited((reason) =>
        this.#log.warn(`memory of the backend is not shown to the guest: ${reason}`)
      ),
    );
    this.#queueCount = Math.min(offer.queueCount, maxQueues);
    const config = kind.presentConfig(offer.config, this.#queueCount);
    this.#resting = around.restored;
    if (around.restored) {
      this.#checkRestored(offer.features, config);
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
      unfit: (offer) => this.#unfit(offer),
      onFailure: (reason) => this.#log.debug(reason),
    });
    device.doorbells?.attach(around.doorbells);
    this.#adopt(frontend);
    this.#stopWatching = around.reactor.add(control.attention.fd, () => this.#summon());
  }

  get info(): DeviceInfo {
    const { features, queues } = this.#control.driver();
    const { away, ...known } = describeDevice(this.#parts);
    return {
      ...known,
      ...(this.#frontend !== undefined
        ? { state: "connected" }
        : away === undefined
        ? {}
        : { away }),
      queues: queues.map(({ index, size, enabled, avail, used }) => ({
        index,
        size,
        enabled,
        available: enabled ? this.#ringIndex(avail) : 0,
        used: enabled ? this.#ringIndex(used) : 0,
      })),
      features: hex(features),
    };
  }

  /**
   * Takes all queues from the backend until {@linkcode goOn}: it has nothing in hand then, and leaves memory alone. No
   * vCPU may run meanwhile.
   *
   * @throws {MachineError} when there is no backend, or it does not obey
   */
  rest(): Promise<void> {
    return this.#inTurn(async () => {
      const { name } = this.#parts;
      const frontend = this.#frontend;
      const refuse = (reason: string) => {
        throw new MachineError("host", `The device ${name} cannot rest: ${reason}. Try again.`);
      };
      if (frontend === undefined) return refuse("its backend is away");
      this.#resting = true;
      if (this.#control.activation() === undefined) return;
      try {
        for (const { index, base } of await frontend.stop()) this.#control.saveBase(index, base);
      } catch (error) {
        if (this.#frontend === frontend) this.#lose(frontend);
        refuse(messageOf(error));
      }
    });
  }

  /** Lets the backend go on after {@linkcode rest}, and start for a driver that was restored. */
  goOn(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#resting) return;
      this.#resting = false;
      const activation = this.#control.activation();
      if (activation !== undefined) await this.#start(activation);
    });
  }

  /** A restored driver goes on with what it was offered; the device must still be that. */
  #checkRestored(features: bigint, config: Uint8Array): void {
    const { name, kind } = this.#parts;
    const saved = this.#control.offered();
    const refuse = (reason: string) => {
      throw new MachineError("usage", `The device ${name} cannot be restored: ${reason}.`);
    };
    const missing = saved.accepted & ~features;
    if (missing !== 0n) refuse(`its backend lacks features that the guest uses (${hex(missing)})`);
    if (saved.queueCount > this.#queueCount) {
      refuse(`it has ${this.#queueCount} queues, and had ${saved.queueCount}`);
    }
    const reason = kind.difference?.(saved.config, config);
    if (reason !== undefined) refuse(reason);
  }

  /** Closes the connection; resolves when the backend has ended. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing.abort();
    this.#parts.backend.abandon?.();
    this.#stopWatching();
    this.#frontend?.[Symbol.dispose]();
    this.#inflight?.[Symbol.dispose]();
    await this.#searching;
    await this.#work;
    // One that is only just coming back is not waited for.
    if (this.#frontend === undefined) this.#parts.backend.kill();
    await this.#parts.backend.finish();
    this.#shared.clear();
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
    const { kind } = this.#parts;
    frontend.sharedMemory = this.#shared;
    frontend.onConfigChange = (config) =>
      this.#control.updateConfig(kind.presentConfig(config, this.#queueCount));
    frontend.onDisconnect = (error) => {
      if (this.#closed || this.#frontend !== frontend) return;
      this.#log.warn(`${messageOf(error)}; the device waits for a new one`);
      if (error instanceof ProtocolError) this.#control.markBroken();
      this.#lose(frontend);
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
          this.#shared.clear();
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
      this.#log.warn(messageOf(error));
      if (mayRefuse && error instanceof BackendRefused) return;
      // A broken connection may have been noticed already.
      if (this.#frontend === frontend) this.#lose(frontend);
      await this.#ended;
    }
  }

  /** The backend is away from here on; a new one is looked for. */
  #lose(frontend: Frontend): void {
    this.#inflight = frontend.takeInflight();
    this.#frontend = undefined;
    if (this.#parts.kind.diesWithBackend) this.#control.markBroken();
    this.#parts.doorbells?.end();
    this.#around.onChange(this.#parts.name, "device-away", frontend.error?.message);
    frontend[Symbol.dispose]();
    this.#parts.backend.kill();
    this.#ended = this.#parts.backend.finish();
    this.#searching = this.#bringBack();
  }

  /** Looks for a new backend, until there is one or the machine ends. */
  async #bringBack(): Promise<void> {
    const found = await this.#search.find(this.#closing.signal);
    if (found !== undefined) this.#enqueue(() => this.#welcome(found.frontend));
  }

  /** Why a backend with this offer cannot go on for the driver, if it cannot. */
  #unfit({ features }: Negotiated): string | undefined {
    const missing = (this.#control.activation()?.features ?? 0n) & ~features;
    if (missing === 0n) return undefined;
    return `the new backend lacks features that the guest uses (${hex(missing)})`;
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
        { ...queue, base: this.#ringIndex(queue.used) }
      ));
      await this.#start({ ...activation, queues });
      // The dead one may have used buffers without saying so.
      for (const { index } of queues) this.#control.events.calls[index].signal();
    }
    if (this.#frontend !== frontend) return;
    this.#parts.history.restarts++;
    this.#log.info("the backend is back");
    this.#around.onChange(this.#parts.name, "device-back");
  }

  /** The index of an available or used ring (virtio 1.2 §2.7.6, §2.7.8), whose address the transport has checked. */
  #ringIndex(ring: number): number {
    const { memory } = this.#around;
    return memory.guest.view.getUint16(memory.ramBase + ring + 2, true);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
