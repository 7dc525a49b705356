import { type Transport, unixTransport } from "../msg/mod.ts";
import { Events, type Fd, memfd, type Owned, type Poller, type Window } from "../os/mod.ts";
import {
  Feature,
  MAX_QUEUE_SIZE,
  type SharedMemoryMapper,
  type VirtioDevice,
} from "../virtio/mod.ts";
import { type BackendAnswer, BackendConnection, broke } from "./backend_connection.ts";
import type { AnnouncedRegion } from "./backend_memory.ts";
import { BackendQueues } from "./backend_queues.ts";
import { BackendRefusal } from "./backend_refusal.ts";
import { BackendRequests } from "./backend_requests.ts";
import { inflightBytes, InflightMemory } from "./inflight_memory.ts";
import type { IncomingMessage } from "./message_reader.ts";
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
  FrontendMessage,
  MAX_CONFIG_SIZE,
  ProtocolFeature,
  TransportFeature,
  VringFd,
} from "./protocol.ts";
import type { Vring } from "./vring.ts";

/** What a backend lives in. */
export interface BackendHost {
  readonly window: Window;
  /** Where kicks arrive; {@link Backend.kicked} wants to hear of them. */
  readonly poller: Pick<Poller, "add">;
  /** Tag of the kick of queue 0; those of the others follow. */
  readonly kickTag: number;
  /** One line for people. */
  readonly log: (text: string) => void;
  readonly link: Link;
}

/** What a connection goes over: sockets, and memory that can be sent through them. */
export interface Link {
  /** Over a connected socket, which moves in there. */
  transport(socket: Owned<Fd>): Transport;
  /** New zeroed memory of so many bytes. Throws OsError. */
  allocate(name: string, size: number): Owned<Fd>;
  /** The most memory regions that a frontend may show over it. */
  readonly memorySlots: number;
}

/** Between processes of one machine. As many regions as devices can show to a guest, and its RAM. */
export const localLink: Link = { transport: unixTransport, allocate: memfd, memorySlots: 8200 };

/** Kicks are edge-triggered: so nobody needs to read the counter. */
const KICK_EVENTS = Events.In | Events.EdgeTriggered;

const RING_FEATURES = Feature.Version1 | Feature.EventIdx | Feature.IndirectDesc;
const PROTOCOL_FEATURES = ProtocolFeature.Mq | ProtocolFeature.ReplyAck |
  ProtocolFeature.ResetDevice | ProtocolFeature.InflightShmfd | ProtocolFeature.ConfigureMemSlots;
/** For devices that have a config space; some frontends wonder when others offer it. */
const CONFIG_FEATURES = ProtocolFeature.Config | ProtocolFeature.BackendReq;
/** For devices that have shared memory. */
const SHARED_MEMORY_FEATURES = ProtocolFeature.Shmem | ProtocolFeature.BackendReq |
  ProtocolFeature.BackendSendFd;

/**
 * One vhost-user connection, seen from the device: what its frontend says becomes memory and running
 * queues, which the device then processes. A frontend that lies loses its connection, or the request
 * is refused; a driver that lies loses its queue.
 */
export class Backend implements Disposable {
  readonly #device: VirtioDevice;
  readonly #host: BackendHost;
  readonly #connection: BackendConnection;
  readonly #queues: BackendQueues;
  readonly #features: bigint;
  readonly #protocolFeatures: bigint;
  readonly #handlers: ReadonlyMap<number, (message: IncomingMessage) => BackendAnswer | void>;
  #protocol = 0n;
  #requests: BackendRequests | undefined;

  /** @param socket of the connection with the frontend; moves in here */
  constructor(socket: Owned<Fd>, device: VirtioDevice, host: BackendHost) {
    this.#device = device;
    this.#host = host;
    this.#queues = new BackendQueues(device, host);
    this.#features = device.features | RING_FEATURES | TransportFeature.ProtocolFeatures;
    this.#protocolFeatures = PROTOCOL_FEATURES |
      (device.config.length > 0 ? CONFIG_FEATURES : 0n) |
      (device.sharedMemory === undefined ? 0n : SHARED_MEMORY_FEATURES);
    this.#handlers = this.#table();
    this.#connection = new BackendConnection(host.link.transport(socket), {
      replyAck: () => (this.#protocol & ProtocolFeature.ReplyAck) !== 0n,
      handle: (message) => this.#handlers.get(message.request)?.(message) ?? undefined,
    }, host.log);
    device.attachConfig?.(() => this.announceConfigChange());
  }

  /** For a poller; stays here. */
  get fd(): Fd {
    return this.#connection.fd;
  }

  /** The connection is over because the frontend broke the protocol, rather than left. */
  get isBroken(): boolean {
    return this.#connection.isBroken;
  }

  /** The features that the driver has accepted. */
  get accepted(): bigint {
    return this.#queues.accepted;
  }

  /** Deals with the frontend's messages. False when the connection is over. */
  receive(): boolean {
    return this.#connection.receive();
  }

  /** A queue was kicked. */
  kicked(index: number): void {
    this.#queues.kicked(index);
  }

  /** Something else happened to the device: any queue may go on. */
  wake(): void {
    this.#queues.wake();
  }

  /** Processes each queue that has something to do, a round each. True when there is more to do. */
  run(): boolean {
    return this.#queues.run();
  }

  /** Tells the frontend, if it wants to hear it, that the config space is another now. */
  announceConfigChange(): void {
    this.#requests?.announceConfigChange();
  }

  #table() {
    const handlers: [number, (message: IncomingMessage) => BackendAnswer | void][] = [
      [FrontendMessage.GetFeatures, () => number(this.#features)],
      [FrontendMessage.SetFeatures, (message) => this.#setFeatures(message)],
      [FrontendMessage.SetOwner, () => {}],
      [FrontendMessage.ResetOwner, () => {}],
      [FrontendMessage.GetProtocolFeatures, () => number(this.#protocolFeatures)],
      [FrontendMessage.SetProtocolFeatures, (message) => this.#setProtocolFeatures(message)],
      [FrontendMessage.GetQueueNum, () => number(BigInt(this.#queues.vrings.length))],
      [FrontendMessage.SetMemTable, (message) => this.#setMemoryTable(message)],
      [FrontendMessage.GetMaxMemSlots, () => number(BigInt(this.#host.link.memorySlots))],
      [FrontendMessage.AddMemReg, (message) => this.#addMemory(message)],
      [FrontendMessage.RemMemReg, (message) => this.#removeMemory(message)],
      [FrontendMessage.SetVringNum, (message) => this.#setSize(message)],
      [FrontendMessage.SetVringAddr, (message) => this.#setAddresses(message)],
      [FrontendMessage.SetVringBase, (message) => this.#setBase(message)],
      [FrontendMessage.GetVringBase, (message) => this.#takeBase(message)],
      [FrontendMessage.SetVringKick, (message) => this.#setKick(message)],
      [FrontendMessage.SetVringCall, (message) => this.#setCall(message)],
      [FrontendMessage.SetVringErr, (message) => this.#setErr(message)],
      [FrontendMessage.SetVringEnable, (message) => this.#setEnabled(message)],
      [FrontendMessage.SetBackendReqFd, (message) => this.#setRequests(message)],
      [FrontendMessage.GetConfig, (message) => this.#getConfig(message)],
      [FrontendMessage.SetConfig, (message) => this.#setConfig(message)],
      [FrontendMessage.GetInflightFd, (message) => this.#getInflight(message)],
      [FrontendMessage.SetInflightFd, (message) => this.#setInflight(message)],
      [FrontendMessage.ResetDevice, () => this.#queues.reset()],
      [FrontendMessage.GetShmemConfig, () => this.#sharedMemory()],
    ];
    return new Map(handlers);
  }

  #setFeatures({ payload }: IncomingMessage): void {
    const { value } = U64.decode(payload);
    if ((value & ~this.#features) !== 0n) {
      throw new BackendRefusal(`features 0x${value.toString(16)} were not all offered`);
    }
    this.#queues.changed(() => {
      this.#queues.accepted = value;
      this.#device.attach?.(this.#mapper);
      this.#device.start?.(value & ~TransportFeature.ProtocolFeatures);
      if ((value & TransportFeature.ProtocolFeatures) !== 0n) return;
      for (const vring of this.#queues.vrings) vring.enabled = true;
    });
  }

  #setProtocolFeatures({ payload }: IncomingMessage): void {
    const { value } = U64.decode(payload);
    if ((value & ~this.#protocolFeatures) !== 0n) {
      throw new BackendRefusal(`protocol features 0x${value.toString(16)} were not all offered`);
    }
    this.#protocol = value;
  }

  #setMemoryTable({ request, payload, fds }: IncomingMessage): void {
    const count = new DataView(payload.buffer).getUint32(0, true);
    // A frontend may send room for more than it has, as Linux does.
    if (payload.length < memoryTableSize(count) || count !== fds.length) {
      const detail = `${payload.length} bytes and ${fds.length} descriptors for ${count} regions`;
      throw broke(request, "wrong-size", detail);
    }
    const table = new Uint8Array(MemoryTable.size);
    table.set(payload);
    const regions = MemoryTable.decode(table).regions.slice(0, count).map(plain);
    this.#queues.changed(() => this.#queues.memory.replace(regions, fds));
  }

  #addMemory({ request, payload, fds }: IncomingMessage): void {
    if (fds.length !== 1) throw broke(request, "descriptors", "no descriptor came with a region");
    const region = plain(SingleMemoryRegion.decode(payload).region);
    // Between two requests, which is all that memory that was not there before takes.
    this.#queues.memory.add(region, fds[0]);
    this.#queues.start();
  }

  #removeMemory({ payload }: IncomingMessage): void {
    const region = plain(SingleMemoryRegion.decode(payload).region);
    this.#queues.changed(() => this.#queues.memory.remove(region));
  }

  #setSize(message: IncomingMessage): void {
    const { vring, num } = this.#state(message);
    if (num < 1 || num > MAX_QUEUE_SIZE || (num & (num - 1)) !== 0) {
      throw new BackendRefusal(`a queue cannot have ${num} descriptors`);
    }
    this.#notRunning(vring);
    vring.size = num;
  }

  #setAddresses({ request, payload }: IncomingMessage): void {
    const { index, flags, descriptor: desc, available: avail, used } = VringAddr.decode(payload);
    const vring = this.#vring(request, index);
    if (flags !== 0) throw new BackendRefusal("writes to memory cannot be logged");
    const old = vring.addresses;
    vring.addresses = { desc, avail, used };
    this.#queues.changed(() => {
      if (
        this.#queues.memory.mappingCount > 0 && vring.size > 0 &&
        this.#queues.place(vring) === undefined
      ) {
        vring.addresses = old;
        throw new BackendRefusal(`the rings of queue ${index} are not in shared memory`);
      }
    });
  }

  #setBase(message: IncomingMessage): void {
    const { vring, num } = this.#state(message);
    if (num > 0xffff) throw new BackendRefusal(`a queue cannot stand at ${num}`);
    this.#notRunning(vring);
    vring.base = num;
  }

  #takeBase({ request, payload }: IncomingMessage): BackendAnswer {
    const { index } = VringState.decode(payload);
    const vring = this.#vring(request, index);
    this.#queues.rest(vring);
    // The kick belongs to the frontend again, which may look at its counter.
    vring.kick?.drain();
    vring.setKick(undefined);
    return { payload: VringState.encode({ index, num: vring.base }) };
  }

  #setKick(message: IncomingMessage): void {
    const { vring, fd } = this.#vringFd(message);
    if (fd === undefined) throw new BackendRefusal("this backend does not poll for kicks");
    this.#queues.rest(vring);
    vring.faultTold = false;
    const { poller, kickTag } = this.#host;
    try {
      const kick = vring.setKick(fd);
      if (kick !== undefined) poller.add(kick.fd, kickTag + vring.index, KICK_EVENTS);
    } catch (error) {
      vring.setKick(undefined);
      throw new BackendRefusal(error instanceof Error ? error.message : String(error));
    }
    this.#queues.start();
  }

  #setCall(message: IncomingMessage): void {
    const { vring, fd } = this.#vringFd(message);
    vring.call = fd;
    // What was completed before the driver could be told of it.
    if (vring.queue !== undefined) vring.signal();
  }

  #setErr(message: IncomingMessage): void {
    const { vring, fd } = this.#vringFd(message);
    vring.err = fd;
  }

  #setEnabled(message: IncomingMessage): void {
    const { vring, num } = this.#state(message);
    if (num > 1) throw new BackendRefusal(`a queue is enabled by 1 and disabled by 0, not ${num}`);
    if (num === 0) this.#queues.rest(vring);
    vring.enabled = num === 1;
    this.#queues.start();
  }

  #setRequests({ request, fds }: IncomingMessage): void {
    if (fds.length !== 1) throw broke(request, "descriptors", "no descriptor came");
    this.#requests?.[Symbol.dispose]();
    const { link, log } = this.#host;
    this.#requests = new BackendRequests(link.transport(fds[0]), log);
  }

  #sharedMemory(): BackendAnswer {
    const sizes = this.#device.sharedMemory ?? [];
    return { payload: SharedMemoryConfig.encode({ count: sizes.length, sizes: [...sizes] }) };
  }

  /** Without acknowledgements nobody could tell when a mapping is there. */
  get #mapper(): SharedMemoryMapper | undefined {
    const needed = ProtocolFeature.Shmem | ProtocolFeature.ReplyAck;
    return (this.#protocol & needed) === needed ? this.#requests : undefined;
  }

  #getConfig({ payload }: IncomingMessage): BackendAnswer {
    const { offset, size } = ConfigHeader.decode(payload);
    // No payload is how a backend says that it has no such bytes.
    if (offset + size > MAX_CONFIG_SIZE || payload.length !== ConfigHeader.size + size) {
      return { payload: new Uint8Array(0) };
    }
    const space = new Uint8Array(MAX_CONFIG_SIZE);
    space.set(this.#device.config);
    payload.set(space.subarray(offset, offset + size), ConfigHeader.size);
    return { payload };
  }

  #setConfig({ payload }: IncomingMessage): void {
    const { offset, size } = ConfigHeader.decode(payload);
    const bytes = payload.subarray(ConfigHeader.size);
    const inside = size === bytes.length && offset + size <= this.#device.config.length;
    if (!inside || this.#device.writeConfig?.(offset, bytes) !== true) {
      throw new BackendRefusal(`${size} bytes at ${offset} of the config space cannot be written`);
    }
  }

  #getInflight({ payload }: IncomingMessage): BackendAnswer {
    const { queueCount, queueSize } = Inflight.decode(payload);
    try {
      const mmapSize = inflightBytes(queueCount, queueSize);
      const fd = this.#host.link.allocate("inflight", mmapSize);
      return {
        payload: Inflight.encode({ mmapSize, mmapOffset: 0, queueCount, queueSize }),
        fds: [fd],
      };
    } catch (error) {
      this.#host.log(error instanceof Error ? error.message : String(error));
      return { payload: Inflight.encode({ queueCount, queueSize }) };
    }
  }

  #setInflight({ request, payload, fds }: IncomingMessage): void {
    if (fds.length !== 1) throw broke(request, "descriptors", "no descriptor came");
    const memory = new InflightMemory(this.#host.window, Inflight.decode(payload), fds[0]);
    this.#queues.changed(() => {
      this.#queues.inflight = memory;
    });
  }

  #state({ request, payload }: IncomingMessage): { vring: Vring; num: number } {
    const { index, num } = VringState.decode(payload);
    return { vring: this.#vring(request, index), num };
  }

  #vringFd(
    { request, payload, fds }: IncomingMessage,
  ): { vring: Vring; fd: Owned<Fd> | undefined } {
    const { value } = U64.decode(payload);
    const vring = this.#vring(request, Number(value & BigInt(VringFd.IndexMask)));
    const none = (value & BigInt(VringFd.NoFd)) !== 0n;
    if (none !== (fds.length === 0)) {
      throw broke(request, "descriptors", `${fds.length} came with 0x${value.toString(16)}`);
    }
    return { vring, fd: fds[0] };
  }

  #vring(request: number, index: number): Vring {
    if (index < this.#queues.vrings.length) return this.#queues.vrings[index];
    throw broke(request, "value", `there is no queue ${index}`);
  }

  #notRunning(vring: Vring): void {
    if (vring.queue !== undefined) throw new BackendRefusal(`queue ${vring.index} is running`);
  }

  /** Ends the connection: the device has nothing in flight afterwards, and guest memory is gone. */
  [Symbol.dispose](): void {
    this.#queues[Symbol.dispose]();
    this.#requests?.[Symbol.dispose]();
    this.#connection[Symbol.dispose]();
  }
}

const number = (value: bigint): BackendAnswer => ({ payload: U64.encode({ value }) });

function plain(region: AnnouncedRegion): AnnouncedRegion {
  const { guestAddress, size, userAddress, mmapOffset } = region;
  return { guestAddress, size, userAddress, mmapOffset };
}
