import {
  EventFd,
  Events,
  type Fd,
  IoVector,
  memfd,
  OsError,
  type Owned,
  PAGE_SIZE,
  Poller,
  type Window,
} from "../../os/mod.ts";
import {
  DescriptorChain,
  DeviceId,
  type DeviceSource,
  type SharedMemoryMapper,
  type VirtioDevice,
  type Virtqueue,
  WL_HOST_ID,
  WL_IN_BUFFER,
  WL_MAX_DESCRIPTORS,
  WlCommand,
  WlCredit,
  WlFeature,
  WlFlag,
  WlHeader,
  WlNew,
  WlNewNamed,
  WlResponse,
  WlTransfer,
  WlVfd,
} from "../../virtio/mod.ts";
import { HeldSend } from "./held_send.ts";
import { InQueue, readChain, writeChain } from "./in_queue.ts";
import { inPages, Region } from "./region.ts";
import { whatHostSent } from "./host_descriptor.ts";
import { ContextVfd, EVENT_SIZE, EventVfd, MemoryVfd, PipeVfd, type Vfd } from "./vfd.ts";

/** What a guest may have, and how it reaches the host. */
export interface WlOptions {
  /** Bytes of the shared memory region, a multiple of 2 MiB. */
  readonly regionSize: number;
  /** The most memory that the guest may have allocated, in bytes. */
  readonly memory: number;
  /** The most virtual descriptors, and how many of them may be connections. */
  readonly vfds: number;
  readonly contexts: number;
  /** Connects to a socket of the host by its name. */
  readonly openContext: (name: string) => Owned<Fd> | "unknown" | "unreachable";
  readonly log: (text: string) => void;
}

const IN = 0;
/** Pieces of a command, which may come in single pages. */
const SEGMENTS = 512;
/** A command's head is this long at most, or ids follow it. */
const HEAD = 64;
/** Where data is received, so that header and ids fit in front. */
const DATA_AT = WlTransfer.size + 4 * WL_MAX_DESCRIPTORS;
/** Memory without {@link WlFeature.Size64} is smaller than this. */
const TWO_32 = 2 ** 32;
/** The name that NewContext, which has none, stands for. */
const DEFAULT_NAME = "wayland";
/** A guest can make us complain as often as it likes. */
const LOG_LINES = 50;

/**
 * Virtio Wayland: a guest's connections to sockets of the host, with virtual descriptors (VFDs) for memory, pipes,
 * sockets and events. The protocol is in docs/virtio-wl.md.
 */
export class WlDevice implements VirtioDevice {
  readonly id = DeviceId.Wl;
  readonly features = WlFeature.TransFlags | WlFeature.UseShmem | WlFeature.Size64 |
    WlFeature.Events | WlFeature.Credit;
  readonly queueCount = 2;
  readonly config = new Uint8Array(0);
  readonly sharedMemory: readonly number[];
  readonly sources: readonly DeviceSource[];

  readonly #window: Window;
  readonly #options: WlOptions;
  readonly #poller = new Poller();
  readonly #vfds = new Map<number, Vfd>();
  /** Those with SENDs that wait. */
  readonly #holding = new Set<Vfd>();
  readonly #in: InQueue;
  readonly #vector: IoVector;
  readonly #head = new Uint8Array(HEAD);
  readonly #headView = new DataView(this.#head.buffer);
  readonly #ids = new Uint8Array(4 * WL_MAX_DESCRIPTORS);
  /** A message on its way to the guest. */
  readonly #stage = new Uint8Array(WL_IN_BUFFER);
  readonly #stageView = new DataView(this.#stage.buffer);
  /** For the next command; one that is held is replaced. */
  #chain = new DescriptorChain(SEGMENTS);
  readonly #spareChains: DescriptorChain[] = [];
  /** Of the SENDs that are held. */
  #out: Virtqueue | undefined;
  #accepted = 0n;
  #region: Region | undefined;
  #guestMemory = 0;
  #contexts = 0;
  #lastHostId = 0;
  #linesLeft = LOG_LINES;

  constructor(window: Window, options: WlOptions) {
    this.#window = window;
    this.#options = options;
    this.sharedMemory = [options.regionSize];
    this.#in = new InQueue(window);
    this.#vector = new IoVector(window, SEGMENTS);
    // Both queues are processed after each event, which is all there is to do.
    this.sources = [{ fd: this.#poller.fd, ready() {} }];
  }

  attach(mapper: SharedMemoryMapper | undefined): void {
    this.#region = mapper && new Region(mapper, this.#options.regionSize);
  }

  start(features: bigint): void {
    this.#accepted = features;
  }

  process(queue: Virtqueue): void {
    if (queue.index === IN) {
      this.#in.begin(queue);
      this.#receive();
      this.#in.end();
    } else {
      this.#out = queue;
      this.#sendHeld();
      while (queue.next(this.#chain)) this.#execute(queue);
    }
  }

  /** What waits for room in a socket is lost, and its context with it: nobody shall take half for the whole. */
  settle(): void {
    for (const vfd of this.#holding) this.#abandon(vfd);
    this.#out = undefined;
  }

  reset(): void {
    this.#in.clear();
    for (const vfd of this.#vfds.values()) vfd[Symbol.dispose]();
    this.#vfds.clear();
    this.#holding.clear();
    this.#region = undefined;
    this.#guestMemory = this.#contexts = 0;
    this.#linesLeft = LOG_LINES;
  }

  // ---- From the host to the guest

  /** Takes one message's worth from whoever has something, in turns, while the guest has buffers. */
  #receive(): void {
    for (let more = true; more && this.#in.ready;) {
      const count = this.#poller.wait(0);
      more = false;
      for (let i = 0; i < count && this.#in.ready; i++) {
        const vfd = this.#vfds.get(this.#poller.tag(i));
        const happened = this.#poller.events(i);
        // A hang-up is reported however little anybody waits for it.
        if (vfd === undefined || !hears(vfd) || (happened & ~Events.Out) === 0) continue;
        this.#receiveFrom(vfd);
        more = true;
      }
    }
  }

  #receiveFrom(vfd: Vfd): void {
    const room = Math.min(WL_IN_BUFFER - DATA_AT, vfd.credit);
    const input = vfd.read(this.#stage.subarray(DATA_AT, DATA_AT + room));
    if (input === undefined) return;
    const { length, fds, lost } = input;
    if (length === 0) return this.#hangUp(vfd);
    const ids: number[] = [];
    let whole = !lost;
    for (const fd of fds) {
      const id = whole ? this.#adopt(fd) : undefined;
      fd[Symbol.dispose]();
      if (id === undefined) whole = false;
      else ids.push(id);
    }
    if (!whole) {
      this.#log(`context ${vfd.id}: descriptors came that a guest cannot have; it is hung up`);
      return this.#abandon(vfd);
    }
    const at = DATA_AT - 4 * ids.length;
    for (const [i, id] of ids.entries()) this.#stageView.setUint32(at + 4 * i, id, true);
    const head = WlTransfer.at(this.#stageView, at - WlTransfer.size);
    head.type = WlCommand.Receive;
    head.flags = 0;
    head.id = vfd.id;
    head.count = ids.length;
    this.#in.send(this.#stage.subarray(at - WlTransfer.size, DATA_AT + length));
    if (this.#has(WlFeature.Credit)) {
      vfd.credit -= length;
      if (vfd.credit <= 0) this.#watch(vfd);
    }
  }

  /** Gives a descriptor of the host a number and tells the guest of it. Undefined when it cannot have it. */
  #adopt(fd: Owned<Fd>): number | undefined {
    if (this.#vfds.size >= this.#options.vfds) return undefined;
    const id = this.#newHostId();
    const vfd = this.#fromHost(id, fd);
    if (vfd === undefined) return undefined;
    this.#add(vfd);
    this.#in.send(this.#announcement(vfd, WlCommand.New));
    return id;
  }

  #fromHost(id: number, fd: Owned<Fd>): Vfd | undefined {
    const what = whatHostSent(fd);
    switch (what.kind) {
      case "socket":
        return this.#contexts < this.#options.contexts ? new ContextVfd(id, fd) : undefined;
      case "pipe":
        return new PipeVfd(id, fd, what.reads);
      case "event":
        return this.#has(WlFeature.Events) ? new EventVfd(id, fd) : undefined;
      case "memory":
        return this.#show(id, fd, what.size, what.writable, false);
      case "refused":
        this.#log(what.reason);
        return undefined;
    }
  }

  #newHostId(): number {
    do this.#lastHostId = (this.#lastHostId + 1) % WL_HOST_ID; while (
      this.#vfds.has(WL_HOST_ID | this.#lastHostId)
    );
    return WL_HOST_ID | this.#lastHostId;
  }

  /** The guest learns that nothing comes any more. */
  #hangUp(vfd: Vfd): void {
    if (vfd.hungUp) return;
    vfd.hungUp = true;
    this.#watch(vfd);
    this.#in.send(WlVfd.encode({ type: WlCommand.HangUp, id: vfd.id }));
  }

  /** Ends a conversation from our side: neither guest nor host hears of the other again. */
  #abandon(vfd: Vfd): void {
    this.#drop(vfd);
    this.#hangUp(vfd);
    vfd[Symbol.dispose]();
  }

  // ---- From the guest to the host

  #execute(queue: Virtqueue): void {
    const chain = this.#chain;
    const length = readChain(this.#window, chain, this.#head);
    this.#head.fill(0, length);
    if (length < WlHeader.size || chain.writableBytes < WlHeader.size) {
      queue.break("request");
      return queue.complete(chain, 0);
    }
    const { type } = WlHeader.at(this.#headView);
    if (type === WlCommand.Send) {
      const response = this.#send(chain);
      if (response === undefined) {
        this.#chain = this.#spareChains.pop() ?? new DescriptorChain(SEGMENTS);
      } else {
        this.#respond(queue, chain, response);
      }
      return;
    }
    const { id } = WlVfd.at(this.#headView);
    switch (type) {
      case WlCommand.New:
        return this.#respond(queue, chain, this.#newMemory());
      case WlCommand.NewContext:
        return this.#respond(queue, chain, this.#newContext(DEFAULT_NAME));
      case WlCommand.NewNamedContext:
        return this.#respond(queue, chain, this.#newContext(this.#name()));
      case WlCommand.NewPipe:
        return this.#respond(queue, chain, this.#newPipe());
      case WlCommand.NewEvent:
        return this.#respond(queue, chain, this.#newEvent());
      case WlCommand.Close:
        return this.#respond(queue, chain, this.#close(id));
      case WlCommand.ArmEvent:
        return this.#respond(queue, chain, this.#arm(id));
      case WlCommand.Credit:
        return this.#respond(queue, chain, this.#giveCredit());
      default:
        return this.#respond(queue, chain, WlResponse.InvalidCommand);
    }
  }

  /** Answers with a type alone, or with a whole structure. */
  #respond(queue: Virtqueue, chain: DescriptorChain, response: number | Uint8Array): void {
    const bytes = typeof response === "number" ? WlHeader.encode({ type: response }) : response;
    queue.complete(chain, writeChain(this.#window, chain, bytes));
  }

  /** Why the guest cannot have another descriptor of that number, if it cannot. */
  #refusal(id: number): number | undefined {
    if (id === 0 || id >= WL_HOST_ID || this.#vfds.has(id)) return WlResponse.InvalidId;
    return this.#vfds.size >= this.#options.vfds ? WlResponse.OutOfMemory : undefined;
  }

  #newMemory(): number | Uint8Array {
    const { id, size: low, sizeHigh } = WlNew.at(this.#headView);
    const refusal = this.#refusal(id);
    if (refusal !== undefined) return refusal;
    const size = inPages(low + (this.#has(WlFeature.Size64) ? sizeHigh * TWO_32 : 0));
    if (size === 0 || this.#region === undefined) return WlResponse.Error;
    if (this.#guestMemory + size > this.#options.memory) return WlResponse.OutOfMemory;
    return this.#created(() => {
      using fd = memfd("virtio-wl", size);
      const vfd = this.#show(id, fd, size, true, true);
      if (vfd !== undefined) this.#guestMemory += size;
      return vfd;
    });
  }

  #newContext(name: string): number | Uint8Array {
    const { id } = WlNew.at(this.#headView);
    const refusal = this.#refusal(id);
    if (refusal !== undefined) return refusal;
    if (this.#contexts >= this.#options.contexts) return WlResponse.OutOfMemory;
    const socket = this.#options.openContext(name);
    if (socket === "unknown") return WlResponse.InvalidId;
    if (socket === "unreachable") return WlResponse.Error;
    return this.#created(() => new ContextVfd(id, socket));
  }

  /** The name in a command; one that is no text is none that anybody has configured. */
  #name(): string {
    const { name } = WlNewNamed.at(this.#headView);
    const end = name.indexOf(0);
    return String.fromCharCode(...(end < 0 ? name : name.subarray(0, end)));
  }

  #newPipe(): number | Uint8Array {
    const { id, flags } = WlNew.at(this.#headView);
    const refusal = this.#refusal(id);
    if (refusal !== undefined) return refusal;
    const access = flags & (WlFlag.Read | WlFlag.Write);
    if (access !== WlFlag.Read && access !== WlFlag.Write) return WlResponse.InvalidFlags;
    return this.#created(() => PipeVfd.create(id, access === WlFlag.Read));
  }

  #newEvent(): number | Uint8Array {
    if (!this.#has(WlFeature.Events)) return WlResponse.InvalidCommand;
    const { id } = WlNew.at(this.#headView);
    const refusal = this.#refusal(id);
    if (refusal !== undefined) return refusal;
    return this.#created(() => {
      using event = EventFd.create();
      return new EventVfd(id, event.fd.dup());
    });
  }

  /** Adds what a command made, which the host may refuse. */
  #created(make: () => Vfd | undefined): number | Uint8Array {
    let vfd: Vfd | undefined;
    try {
      vfd = make();
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#log(error.message);
    }
    if (vfd === undefined) return WlResponse.OutOfMemory;
    this.#add(vfd);
    return this.#announcement(vfd, WlResponse.New);
  }

  /** Memory, mapped for the guest; undefined when it cannot be. */
  #show(
    id: number,
    fd: Owned<Fd>,
    size: number,
    writable: boolean,
    isGuests: boolean,
  ): MemoryVfd | undefined {
    const length = inPages(size);
    if (!this.#has(WlFeature.UseShmem)) return undefined;
    if (length >= TWO_32 && !this.#has(WlFeature.Size64)) return undefined;
    const offset = this.#region?.map(fd, length, writable);
    if (offset === undefined) return undefined;
    return new MemoryVfd(id, fd, { offset, length, size, writable, isGuests });
  }

  #add(vfd: Vfd): void {
    this.#vfds.set(vfd.id, vfd);
    if (vfd instanceof ContextVfd) this.#contexts++;
    this.#watch(vfd);
  }

  #close(id: number): number {
    const vfd = this.#vfds.get(id);
    if (vfd === undefined) return WlResponse.InvalidId;
    this.#drop(vfd);
    this.#vfds.delete(id);
    if (vfd instanceof ContextVfd) this.#contexts--;
    if (vfd instanceof MemoryVfd) {
      const { offset, length, isGuests } = vfd.place;
      this.#region?.unmap(offset, length);
      if (isGuests) this.#guestMemory -= length;
    }
    vfd[Symbol.dispose]();
    return WlResponse.Ok;
  }

  #arm(id: number): number {
    const vfd = this.#vfds.get(id);
    if (vfd === undefined) return WlResponse.InvalidId;
    if (!(vfd instanceof EventVfd)) return WlResponse.InvalidType;
    vfd.armed = true;
    this.#watch(vfd);
    return WlResponse.Ok;
  }

  #giveCredit(): number {
    if (!this.#has(WlFeature.Credit)) return WlResponse.InvalidCommand;
    const { id, bytes } = WlCredit.at(this.#headView);
    const vfd = this.#vfds.get(id);
    if (vfd === undefined) return WlResponse.InvalidId;
    vfd.credit = Math.min(vfd.credit + bytes, TWO_32);
    this.#watch(vfd);
    return WlResponse.Ok;
  }

  /** A SEND: the response, or undefined while it is held. */
  #send(chain: DescriptorChain): number | undefined {
    const { id, count } = WlTransfer.at(this.#headView);
    const vfd = this.#vfds.get(id);
    if (vfd === undefined) return WlResponse.InvalidId;
    const head = WlTransfer.size + 4 * count;
    if (count > WL_MAX_DESCRIPTORS || chain.readableBytes < head) return WlResponse.InvalidType;
    if (vfd instanceof EventVfd) return this.#signal(vfd, chain, count);
    if (vfd.atOnce === 0 || (count > 0 && !vfd.carriesDescriptors)) return WlResponse.InvalidType;
    // Descriptors without a byte cannot be sent over a stream.
    if (chain.readableBytes === head) return count === 0 ? WlResponse.Ok : WlResponse.InvalidType;
    const sent = this.#descriptors(chain, count);
    if (sent === undefined) return WlResponse.InvalidId;
    const send = new HeldSend(chain, head, sent.map(({ fd }) => fd));
    const response = vfd.held.length > 0 ? undefined : this.#push(vfd, send);
    if (response === WlResponse.Error) return response;
    if (response === undefined) {
      send.keep();
      vfd.held.push(send);
      this.#holding.add(vfd);
      this.#watch(vfd);
    }
    for (const { vfd } of sent) vfd.sent();
    return response;
  }

  /** What the ids of a SEND stand for; undefined when one stands for nothing that can be sent. */
  #descriptors(chain: DescriptorChain, count: number): { vfd: Vfd; fd: Fd }[] | undefined {
    const bytes = this.#ids.subarray(0, 4 * count);
    readChain(this.#window, chain, bytes, WlTransfer.size);
    const view = new DataView(bytes.buffer);
    const found: { vfd: Vfd; fd: Fd }[] = [];
    for (let i = 0; i < count; i++) {
      const vfd = this.#vfds.get(view.getUint32(4 * i, true));
      const fd = vfd?.sendable;
      if (vfd === undefined || fd === undefined || fd.closed) return undefined;
      found.push({ vfd, fd });
    }
    return found;
  }

  #signal(vfd: EventVfd, chain: DescriptorChain, count: number): number {
    const bytes = new Uint8Array(EVENT_SIZE);
    if (count > 0 || chain.readableBytes !== WlTransfer.size + EVENT_SIZE) {
      return WlResponse.InvalidType;
    }
    readChain(this.#window, chain, bytes, WlTransfer.size);
    const [low, high] = new Uint32Array(bytes.buffer);
    if (high !== 0) return WlResponse.InvalidFlags;
    vfd.add(low);
    return WlResponse.Ok;
  }

  /** Writes on at a SEND. The response when it is done, undefined while there is no room. */
  #push(vfd: Vfd, send: HeldSend): number | undefined {
    while (!send.finished) {
      send.gather(this.#vector, vfd.atOnce);
      let written: number | "later" | "closed";
      try {
        written = vfd.hungUp && vfd.polled?.closed ? "closed" : vfd.write(this.#vector, send.fds);
      } catch (error) {
        if (!(error instanceof OsError)) throw error;
        this.#log(error.message);
        written = "closed";
      }
      if (written === "later") return undefined;
      if (written === "closed") return WlResponse.Error;
      send.taken(written);
    }
    return WlResponse.Ok;
  }

  /** Goes on with SENDs whose sockets or pipes have room again. */
  #sendHeld(): void {
    for (const vfd of this.#holding) {
      for (let send = vfd.held[0]; send !== undefined; send = vfd.held[0]) {
        const response = this.#push(vfd, send);
        if (response === undefined) break;
        vfd.held.shift();
        this.#finish(send, response);
      }
      if (vfd.held.length > 0) continue;
      this.#holding.delete(vfd);
      this.#watch(vfd);
    }
  }

  /** Answers what a descriptor that ends has held. */
  #drop(vfd: Vfd): void {
    for (const send of vfd.held.splice(0)) this.#finish(send, WlResponse.Error);
    this.#holding.delete(vfd);
  }

  /** Answers a SEND that was held. */
  #finish(held: HeldSend, response: number): void {
    held.release();
    if (this.#out !== undefined) this.#respond(this.#out, held.chain, response);
    this.#spareChains.push(held.chain);
  }

  // ---- Both

  /** The structure that tells the guest what a descriptor is. */
  #announcement(vfd: Vfd, type: number): Uint8Array {
    const flags = vfd.flags(this.#has(WlFeature.TransFlags));
    const { offset, size } = vfd instanceof MemoryVfd ? vfd.place : { offset: 0, size: 0 };
    return WlNew.encode({
      type,
      id: vfd.id,
      flags,
      page: offset / PAGE_SIZE,
      size: size % TWO_32,
      sizeHigh: this.#has(WlFeature.Size64) ? Math.floor(size / TWO_32) : 0,
    });
  }

  /** Lets the poller wait for what concerns a descriptor now. */
  #watch(vfd: Vfd): void {
    const { polled, wanted = 0 } = vfd;
    if (polled === undefined || polled.closed) return;
    const reads = hears(vfd), writes = vfd.held.length > 0;
    const events = reads || writes ? (reads ? wanted : 0) | (writes ? Events.Out : 0) : undefined;
    if (events === vfd.watched) return;
    if (events === undefined) this.#poller.remove(polled);
    else if (vfd.watched === undefined) this.#poller.add(polled, vfd.id, events);
    else this.#poller.change(polled, vfd.id, events);
    vfd.watched = events;
  }

  #has(feature: bigint): boolean {
    return (this.#accepted & feature) !== 0n;
  }

  #log(text: string): void {
    if (this.#linesLeft-- > 0) this.#options.log(text);
  }
}

/** The guest is to hear of what comes. */
function hears({ wanted, hungUp, credit }: Vfd): boolean {
  return wanted !== undefined && !hungUp && credit > 0;
}
