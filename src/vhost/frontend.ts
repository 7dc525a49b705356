import type { Fd, Owned, Reactor } from "../os/mod.ts";
import { BackendRefused } from "./backend_errors.ts";
import { FrontendConnection, type Reply, type ReplyShape } from "./frontend_connection.ts";
import { FrontendRequests } from "./frontend_requests.ts";
import type {
  FrontendOptions,
  Negotiated,
  SharedMemoryHost,
  SharedQueue,
  SharedRegion,
  StartOptions,
} from "./frontend_options.ts";
import { InflightRegion } from "./inflight_region.ts";
import {
  ConfigHeader,
  Inflight,
  MemoryTable,
  memoryTableSize,
  SharedMemoryConfig,
  SingleMemoryRegion,
  U64,
  VringAddr,
  VringState,
} from "./payloads.ts";
import {
  ConfigFlags,
  FrontendMessage,
  HeaderFlags,
  MAX_CONFIG_SIZE,
  MAX_MEMORY_REGIONS,
  MAX_QUEUES,
  ProtocolFeature,
  TransportFeature,
} from "./protocol.ts";

const WANTED = ProtocolFeature.Mq | ProtocolFeature.ReplyAck | ProtocolFeature.InflightShmfd |
  ProtocolFeature.ResetDevice;
const WANTED_WITH_CONFIG = ProtocolFeature.Config | ProtocolFeature.BackendReq;
const WANTED_WITH_MEMORY = ProtocolFeature.Shmem | ProtocolFeature.BackendReq |
  ProtocolFeature.BackendSendFd;
const TRANSPORT = TransportFeature.LogAll | TransportFeature.ProtocolFeatures;
const DEFAULT_TIMEOUT_MS = 5000;
const NOTHING = new Uint8Array(0);
/** More than anybody has to show. */
const MAX_SLOTS = 1n << 20n;

/**
 * The monitor's side of one device: speaks vhost-user to its backend over one connection. Lives on a
 * thread with an event loop. Nothing that a backend does makes it hang or throw elsewhere: what it
 * asks fails with {@link BackendAway} (no answer in time), {@link BackendDisconnected},
 * {@link BackendRefused} (only that request) or {@link ProtocolError}; after all but the third the
 * connection is closed and a new frontend is needed for a new one.
 */
export class Frontend implements Disposable {
  /** Called with the new config space after the backend has announced a change. */
  onConfigChange: ((config: Uint8Array) => void) | undefined;
  /** Called once with the reason when the connection is lost or broken; not when it is disposed. */
  onDisconnect: ((error: Error) => void) | undefined;
  /** Who serves the backend's wishes for shared memory; they are refused while it is undefined. */
  sharedMemory: SharedMemoryHost | undefined;
  /** Called with the reason when the backend does not take memory that is added. */
  onMemoryRefused: ((reason: string) => void) | undefined;

  readonly #connection: FrontendConnection;
  readonly #reactor: Reactor;
  readonly #name: string;
  readonly #configSize: number;
  readonly #hasSharedMemory: boolean;
  readonly #addsMemory: boolean;
  readonly #leastQueues: number;
  readonly #replyTimeoutMs: number;
  #requests: FrontendRequests | undefined;
  #offer: Negotiated | undefined;
  #hasProtocolFeatures = false;
  #running: readonly number[] = [];
  /** What the backend knows of its guest's memory beyond the table; undefined before it has that. */
  #added: Set<SharedRegion> | undefined;
  #slotsLeft = 0;
  #inflight: InflightRegion | undefined;
  #configRead: "idle" | "reading" | "again" = "idle";

  /** @param fd a connected stream socket; moves in here */
  constructor(fd: Owned<Fd>, reactor: Reactor, options: FrontendOptions) {
    const { name, replyTimeoutMs = DEFAULT_TIMEOUT_MS, configSize = 0, queueCount = 1 } = options;
    const { startTimeoutMs = replyTimeoutMs } = options;
    if (configSize > MAX_CONFIG_SIZE) throw new RangeError(`A config space of ${configSize} bytes`);
    this.#name = name;
    this.#configSize = configSize;
    this.#hasSharedMemory = options.hasSharedMemory ?? false;
    this.#addsMemory = options.addsMemory ?? false;
    this.#leastQueues = queueCount;
    this.#replyTimeoutMs = replyTimeoutMs;
    this.#reactor = reactor;
    this.onConfigChange = options.onConfigChange;
    this.onDisconnect = options.onDisconnect;
    this.#connection = new FrontendConnection(fd, reactor, {
      name,
      replyTimeoutMs: startTimeoutMs,
      waitsForUs: () => this.#requests?.isBusy ?? false,
      onBroken: (error) => this.#broken(error),
    });
  }

  /** Why the connection is of no more use, if it is not. */
  get error(): Error | undefined {
    return this.#connection.error;
  }

  /** Finds out what the backend offers and settles the protocol. Once per connection. */
  async negotiate(): Promise<Negotiated> {
    const owner = this.#connection.tell(FrontendMessage.SetOwner, NOTHING);
    const [, offered] = await Promise.all([owner, this.#askU64(FrontendMessage.GetFeatures)]);
    this.#hasProtocolFeatures = (offered & TransportFeature.ProtocolFeatures) !== 0n;
    const protocolFeatures = await this.#settleProtocol();
    const offers = (feature: bigint) => (protocolFeatures & feature) !== 0n;
    const queueCount = offers(ProtocolFeature.Mq) ? await this.#askQueueCount() : this.#leastQueues;
    if (offers(ProtocolFeature.BackendReq)) {
      await this.#openRequests(offers);
    }
    const features = offered & ~TRANSPORT;
    const least = { config: NOTHING, sharedMemory: [], memorySlots: 0 };
    this.#offer = { features, protocolFeatures, queueCount, ...least };
    const config = await this.readConfig();
    const sharedMemory = await this.#askSharedMemory();
    const memorySlots = await this.#askMemorySlots();
    this.#connection.replyTimeoutMs = this.#replyTimeoutMs;
    return this.#offer = { ...this.#offer, config, sharedMemory, memorySlots };
  }

  /** Hands memory and queues to the backend and lets it work. */
  async start(options: StartOptions): Promise<void> {
    const { memory, queues, inflight, added } = options;
    this.#adoptInflight(inflight);
    const offer = this.#negotiated();
    this.#checkStart(options, offer);
    const features = this.#hasProtocolFeatures
      ? options.features | TransportFeature.ProtocolFeatures
      : options.features;
    this.#running = queues.map((queue) => queue.index);
    await this.#set(FrontendMessage.SetFeatures, U64.encode({ value: features }));
    if (this.#has(ProtocolFeature.InflightShmfd) && queues.length > 0) {
      await this.#shareInflight(queues);
    }
    // Sent in one go and answered in order: one round trip in all, not one per message.
    await Promise.all([
      this.#setMemory(memory),
      ...[...added?.() ?? []].map((region) => this.addMemory(region)),
      ...queues.flatMap((queue) => this.#setQueue(queue)),
      ...queues.flatMap((queue) => this.#enable(queue.index, true)),
    ]);
    // Without REPLY_ACK only an answer to something later tells that all that has been dealt with.
    if (!this.#has(ProtocolFeature.ReplyAck)) await this.#askU64(FrontendMessage.GetFeatures);
  }

  /**
   * Shows the backend more of its guest's memory while it works, what it may only read as well. Resolves when it can be used, or the
   * backend does not take it ({@linkcode onMemoryRefused}). Before the start there is nothing to tell: see
   * {@linkcode StartOptions.added}.
   *
   * @param region the object is its name for {@linkcode removeMemory}; its descriptor may be closed as soon as this returns
   */
  async addMemory(region: SharedRegion): Promise<void> {
    this.#checkUsable();
    if (this.#added === undefined) return;
    if (this.#slotsLeft === 0) return this.#refuseMemory("it takes no more memory regions");
    this.#slotsLeft--;
    this.#added.add(region);
    try {
      await this.#set(FrontendMessage.AddMemReg, singleRegion(region), [region.fd]);
    } catch (error) {
      if (!(error instanceof BackendRefused)) throw error;
      if (this.#added.delete(region)) this.#slotsLeft++;
      this.#refuseMemory(error.message);
    }
  }

  /** Takes such memory away. Resolves when the backend leaves it alone. */
  async removeMemory(region: SharedRegion): Promise<void> {
    this.#checkUsable();
    if (this.#added?.delete(region) !== true) return;
    this.#slotsLeft++;
    try {
      await this.#set(FrontendMessage.RemMemReg, singleRegion(region));
    } catch (error) {
      // One that has refused to add it is just telling that.
      if (!(error instanceof BackendRefused)) throw error;
    }
  }

  /**
   * Takes the queues back; afterwards the backend leaves guest memory alone and can be started again.
   *
   * @param options.reset whether the driver is done with the device; otherwise it goes on later as if nothing had happened
   * @returns where in its available ring each queue stands
   */
  async stop({ reset = true } = {}): Promise<{ index: number; base: number }[]> {
    this.#checkUsable();
    const running = this.#running;
    // The base first: from then on the queue rests, and disabling it can drop nothing.
    const bases = running.map((index) => this.#askBase(index));
    const all = await Promise.all([
      Promise.all(bases),
      ...running.flatMap((index) => this.#enable(index, false)),
    ]);
    if (reset && this.#has(ProtocolFeature.ResetDevice)) {
      await this.#set(FrontendMessage.ResetDevice, NOTHING);
    }
    this.#running = [];
    // Nothing is in flight now; the next start gets a new region.
    this.#adoptInflight(undefined);
    return all[0];
  }

  /** Reads the config space anew; empty when the backend has none. */
  async readConfig(): Promise<Uint8Array> {
    this.#checkUsable();
    if (!this.#has(ProtocolFeature.Config)) return NOTHING;
    const size = this.#configSize;
    const request = new Uint8Array(ConfigHeader.size + size);
    request.set(ConfigHeader.encode({ offset: 0, size, flags: ConfigFlags.Writable }));
    // A backend that fails answers with nothing, or with the header alone.
    const shape = { sizes: [request.length, ConfigHeader.size, 0] };
    const { payload } = await this.#connection.ask(FrontendMessage.GetConfig, request, shape);
    if (payload.length < request.length) {
      throw new BackendRefused(
        this.#name,
        FrontendMessage.GetConfig,
        "it has no such config space",
      );
    }
    const header = ConfigHeader.decode(payload);
    if (header.offset !== 0 || header.size !== size) {
      const detail = `it answers for ${header.size} bytes at ${header.offset}, not ${size} at 0`;
      throw this.#breach(FrontendMessage.GetConfig, detail);
    }
    return payload.slice(ConfigHeader.size);
  }

  /** Passes on what the driver wrote into the config space. */
  async setConfig(offset: number, bytes: Uint8Array): Promise<void> {
    this.#checkUsable();
    const size = this.#has(ProtocolFeature.Config) ? this.#configSize : 0;
    if (!(offset >= 0) || offset + bytes.length > size) {
      throw new RangeError(`${bytes.length} bytes at ${offset} of a config space of ${size}`);
    }
    const header = ConfigHeader.encode({ offset, size: bytes.length, flags: ConfigFlags.Writable });
    const payload = new Uint8Array(header.length + bytes.length);
    payload.set(header);
    payload.set(bytes, header.length);
    await this.#set(FrontendMessage.SetConfig, payload);
  }

  /** Gives away the memory of what is in flight, for {@link StartOptions.inflight} of the next connection. */
  takeInflight(): InflightRegion | undefined {
    const region = this.#inflight;
    this.#inflight = undefined;
    return region;
  }

  async #settleProtocol(): Promise<bigint> {
    if (!this.#hasProtocolFeatures) return 0n;
    const offered = await this.#askU64(FrontendMessage.GetProtocolFeatures);
    let value = offered & (this.#configSize > 0 ? WANTED | WANTED_WITH_CONFIG : WANTED);
    if ((value & ProtocolFeature.Config) === 0n) value &= ~ProtocolFeature.BackendReq;
    const shares = (offered & WANTED_WITH_MEMORY) === WANTED_WITH_MEMORY;
    if (this.#hasSharedMemory && shares) value |= WANTED_WITH_MEMORY;
    if (this.#addsMemory) value |= offered & ProtocolFeature.ConfigureMemSlots;
    await this.#connection.tell(FrontendMessage.SetProtocolFeatures, U64.encode({ value }));
    return value;
  }

  async #askQueueCount(): Promise<number> {
    const count = await this.#askU64(FrontendMessage.GetQueueNum);
    if (count < 1n || count > 0xffffn) {
      throw this.#breach(FrontendMessage.GetQueueNum, `it claims to have ${count} queues`);
    }
    return Math.min(Number(count), MAX_QUEUES);
  }

  async #askSharedMemory(): Promise<number[]> {
    if (!this.#has(ProtocolFeature.Shmem)) return [];
    const request = FrontendMessage.GetShmemConfig;
    const shape = { sizes: [SharedMemoryConfig.size] };
    const { payload } = await this.#connection.ask(request, NOTHING, shape);
    const { count, sizes } = SharedMemoryConfig.decode(payload);
    if (count > sizes.length) {
      throw this.#breach(request, `it claims to have ${count} regions of shared memory`);
    }
    // Regions may be sparse: the count is of those that there are.
    return sizes.slice(0, 1 + sizes.findLastIndex((size) => size > 0));
  }

  async #askMemorySlots(): Promise<number> {
    // Without acknowledgements nobody could tell when memory can be used, or is left alone.
    const needed = [ProtocolFeature.ConfigureMemSlots, ProtocolFeature.ReplyAck];
    if (!needed.every((feature) => this.#has(feature))) return 0;
    const slots = await this.#askU64(FrontendMessage.GetMaxMemSlots);
    return Number(slots < MAX_SLOTS ? slots : MAX_SLOTS);
  }

  #setMemory(memory: readonly SharedRegion[]): Promise<void> {
    this.#added = new Set();
    this.#slotsLeft = Math.max(0, (this.#offer?.memorySlots ?? 0) - memory.length);
    const fds = memory.map((region) => region.fd);
    return this.#set(FrontendMessage.SetMemTable, memoryTable(memory), fds);
  }

  #refuseMemory(reason: string): void {
    this.onMemoryRefused?.(reason);
  }

  async #openRequests(offers: (feature: bigint) => boolean): Promise<void> {
    const replyAck = offers(ProtocolFeature.ReplyAck);
    const requests = this.#requests = new FrontendRequests(this.#reactor, {
      name: this.#name,
      replyAck,
      onConfigChange: offers(ProtocolFeature.Config) ? () => void this.#configChanged() : undefined,
      sharedMemory: offers(ProtocolFeature.Shmem) ? () => this.sharedMemory : undefined,
      onBroken: (error) => this.#connection.break(error),
    });
    const message = FrontendMessage.SetBackendReqFd;
    const sent = replyAck
      ? this.#acknowledged(message, NOTHING, [requests.peer])
      : this.#connection.tell(message, NOTHING, [requests.peer]);
    requests.peer[Symbol.dispose]();
    await sent;
  }

  /** However many changes are announced while we read, we read once more. */
  async #configChanged(): Promise<void> {
    if (this.#configRead !== "idle") {
      this.#configRead = "again";
      return;
    }
    try {
      do {
        this.#configRead = "reading";
        const config = await this.readConfig();
        this.onConfigChange?.(config);
      } while ((this.#configRead as string) === "again");
    } catch (error) {
      // A broken connection has said so already; a refusal means that there is nothing to tell.
      if (this.error === undefined && !(error instanceof BackendRefused)) throw error;
    } finally {
      this.#configRead = "idle";
    }
  }

  async #shareInflight(queues: readonly SharedQueue[]): Promise<void> {
    const region = this.#inflight ??= await this.#askInflight(
      Math.max(...queues.map((queue) => queue.index)) + 1,
      Math.max(...queues.map((queue) => queue.size)),
    );
    const { mmapSize, mmapOffset, queueCount, queueSize } = region;
    const payload = Inflight.encode({ mmapSize, mmapOffset, queueCount, queueSize });
    await this.#set(FrontendMessage.SetInflightFd, payload, [region.fd]);
  }

  async #askInflight(queueCount: number, queueSize: number): Promise<InflightRegion> {
    const request = FrontendMessage.GetInflightFd;
    const shape = { sizes: [Inflight.size], fds: 1 };
    const payload = Inflight.encode({ queueCount, queueSize });
    const reply = await this.#connection.ask(request, payload, shape);
    const { mmapSize, mmapOffset } = Inflight.decode(reply.payload);
    const fd = reply.fds[0];
    if (mmapSize === 0 || mmapSize + mmapOffset > Number.MAX_SAFE_INTEGER) {
      fd[Symbol.dispose]();
      throw this.#breach(request, `it gives ${mmapSize} bytes at ${mmapOffset} for its notes`);
    }
    return new InflightRegion(fd, mmapSize, mmapOffset, queueCount, queueSize);
  }

  #setQueue(queue: SharedQueue): Promise<void>[] {
    const { index, size, desc, avail, used, base } = queue;
    const address = { index, descriptor: desc, used, available: avail };
    const which = U64.encode({ value: BigInt(index) });
    const sent = [
      this.#set(FrontendMessage.SetVringNum, VringState.encode({ index, num: size })),
      this.#set(FrontendMessage.SetVringBase, VringState.encode({ index, num: base })),
      this.#set(FrontendMessage.SetVringAddr, VringAddr.encode(address)),
      this.#set(FrontendMessage.SetVringCall, which, [queue.call]),
    ];
    if (queue.err !== undefined) {
      sent.push(this.#set(FrontendMessage.SetVringErr, which, [queue.err]));
    }
    // Last, since a backend may begin with it.
    sent.push(this.#set(FrontendMessage.SetVringKick, which, [queue.kick]));
    return sent;
  }

  /** Without protocol features a queue runs as soon as it is kicked, and there is nothing to send. */
  #enable(index: number, on: boolean): Promise<void>[] {
    if (!this.#hasProtocolFeatures) return [];
    const payload = VringState.encode({ index, num: on ? 1 : 0 });
    return [this.#set(FrontendMessage.SetVringEnable, payload)];
  }

  async #askBase(index: number): Promise<{ index: number; base: number }> {
    const request = FrontendMessage.GetVringBase;
    const shape = { sizes: [VringState.size] };
    const asked = VringState.encode({ index });
    const reply = VringState.decode((await this.#connection.ask(request, asked, shape)).payload);
    if (reply.index !== index) {
      throw this.#breach(request, `it answers for queue ${reply.index} and not ${index}`);
    }
    if (reply.num > 0xffff) {
      throw this.#breach(request, `queue ${index} cannot stand at ${reply.num}`);
    }
    return { index, base: reply.num };
  }

  async #askU64(request: number): Promise<bigint> {
    const reply = await this.#connection.ask(request, NOTHING, U64_SHAPE);
    return U64.decode(reply.payload).value;
  }

  #set(request: number, payload: Uint8Array, fds: readonly Fd[] = []): Promise<void> {
    return this.#has(ProtocolFeature.ReplyAck)
      ? this.#acknowledged(request, payload, fds)
      : this.#connection.tell(request, payload, fds);
  }

  async #acknowledged(request: number, payload: Uint8Array, fds: readonly Fd[]): Promise<void> {
    const flags = HeaderFlags.NeedReply;
    const reply: Reply = await this.#connection.ask(request, payload, U64_SHAPE, fds, flags);
    const status = U64.decode(reply.payload).value;
    if (status !== 0n) throw new BackendRefused(this.#name, request, `it answers ${status}`);
  }

  #has(feature: bigint): boolean {
    return this.#offer !== undefined && (this.#offer.protocolFeatures & feature) !== 0n;
  }

  #checkUsable(): void {
    if (this.error !== undefined) throw this.error;
  }

  #negotiated(): Negotiated {
    this.#checkUsable();
    if (this.#offer === undefined) throw new Error(`${this.#name} has not been negotiated yet`);
    return this.#offer;
  }

  #checkStart({ features, memory, queues }: StartOptions, offer: Negotiated): void {
    if ((features & ~offer.features) !== 0n) {
      throw new RangeError(
        `${this.#name} has no features 0x${(features & ~offer.features).toString(16)}`,
      );
    }
    if (memory.length > MAX_MEMORY_REGIONS) {
      throw new RangeError(`${memory.length} memory regions do not fit into a message`);
    }
    const absent = queues.find((queue) => queue.index >= offer.queueCount);
    if (absent !== undefined) throw new RangeError(`${this.#name} has no queue ${absent.index}`);
  }

  #adoptInflight(region: InflightRegion | undefined): void {
    if (region !== undefined && region === this.#inflight) return;
    this.#inflight?.[Symbol.dispose]();
    this.#inflight = region;
  }

  #breach(request: number, detail: string): Error {
    const error = this.#connection.breach(request, "value", detail);
    this.#connection.break(error);
    return error;
  }

  #broken(error: Error): void {
    this.#requests?.[Symbol.dispose]();
    this.onDisconnect?.(error);
  }

  /** Closes the connection; what is under way fails. */
  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
    this.#requests?.[Symbol.dispose]();
    this.#adoptInflight(undefined);
  }
}

const U64_SHAPE: ReplyShape = { sizes: [U64.size] };

function memoryTable(memory: readonly SharedRegion[]): Uint8Array {
  const regions = memory.map(layoutOf);
  return MemoryTable.encode({ count: memory.length, regions }).subarray(
    0,
    memoryTableSize(memory.length),
  );
}

function singleRegion(region: SharedRegion): Uint8Array {
  return SingleMemoryRegion.encode({ region: layoutOf(region) });
}

function layoutOf({ guestAddress, size, userAddress, fdOffset: mmapOffset = 0 }: SharedRegion) {
  return { guestAddress, size, userAddress, mmapOffset };
}
