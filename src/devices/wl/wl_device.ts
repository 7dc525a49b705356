import {
  EventFd,
  type Fd,
  IoVector,
  memfd,
  OsError,
  type Owned,
  pipe,
  type Window,
} from "../../os/mod.ts";
import {
  DeviceId,
  type DeviceSource,
  type SharedMemoryMapper,
  type VirtioDevice,
  type Virtqueue,
  WL_FIRST_CREDIT,
  WL_HOST_ID,
  WL_MAX_DESCRIPTORS,
  WlCommand,
  WlCredit,
  WlDoorbell,
  WlFeature,
  WlFlag,
  WlHeader,
  WlNew,
  WlNewNamed,
  WlResponse,
  WlTransfer,
  WlVfd,
} from "../../virtio/mod.ts";
import { limited } from "../../vhost/mod.ts";
import { Account, type Amounts, type Charge } from "./charge.ts";
import { announcement } from "./announcement.ts";
import { Arrival } from "./arrival.ts";
import { readHead } from "../chain_bytes.ts";
import { type ContextExchange, ContextVfd } from "./context_vfd.ts";
import { type DoorbellFunction, Doorbells } from "./doorbells.ts";
import { Endpoint, Turn } from "./endpoint.ts";
import { EventVfd } from "./event_vfd.ts";
import { whatHostSent } from "./host_descriptor.ts";
import { InQueue } from "./in_queue.ts";
import { MemoryVfd } from "./memory_vfd.ts";
import { OutQueue } from "./out_queue.ts";
import { PipeVfd } from "./pipe_vfd.ts";
import { inPages, Region } from "./region.ts";
import type { Send } from "./send.ts";
import { Turns } from "../turns.ts";
import type { Vfd } from "./vfd.ts";
import { Watcher } from "../watcher.ts";

/** What a guest may have, and how it reaches the host. */
export interface WlOptions {
  /** Bytes of the shared memory region, a multiple of 2 MiB. */
  readonly regionSize: number;
  /** The most memory that the guest may have allocated, in bytes. */
  readonly memory: number;
  /** The most virtual descriptors, and how many of them may be connections that the guest opened. */
  readonly vfds: number;
  readonly contexts: number;
  /** Connects to a socket of the host by its name. */
  readonly openContext: (name: string) => Owned<Fd> | "unknown" | "unreachable";
  /** Where the machine has a doorbell function. */
  readonly doorbells?: DoorbellFunction;
  readonly log: (text: string) => void;
}

const IN = 0;
/** The longest head of a command: that of a SEND with its ids. */
const HEAD = WlTransfer.size + 4 * WL_MAX_DESCRIPTORS;
/** NEW without what we have added. */
const SHORT_NEW = WlNew.offset.sizeHigh;
/** Pieces that are written at once. */
const SEGMENTS = 512;
/** Messages in a turn. */
const AT_ONCE = 8;
const TWO_32 = 2 ** 32;
/** The name that NewContext, which has none, stands for. */
const DEFAULT_NAME = "wayland";
/** A guest can make us complain as often as it likes. */
const LOG_LINES = 50;

/**
 * Virtio Wayland: a guest's connections to sockets of the host, with virtual descriptors (VFDs) for memory, pipes,
 * sockets and events. The protocol is in docs/virtio-wl.md.
 */
export class WlDevice implements VirtioDevice, Disposable {
  readonly id = DeviceId.Wl;
  readonly features: bigint;
  readonly queueCount = 2;
  readonly config = new Uint8Array(0);
  readonly sharedMemory: readonly number[];
  readonly sources: readonly DeviceSource[];

  readonly #window: Window;
  readonly #options: WlOptions;
  readonly #account: Account;
  readonly #doorbells: Doorbells;
  readonly #region: Region;
  readonly #in: InQueue;
  readonly #out: OutQueue;
  readonly #watcher = new Watcher();
  readonly #turns = new Turns<Endpoint>();
  readonly #live = new Set<Endpoint>();
  readonly #unblocked = new Set<Endpoint>();
  readonly #vector: IoVector;
  readonly #vfds = new Map<number, Vfd>();
  readonly #head = new Uint8Array(HEAD);
  readonly #headView = new DataView(this.#head.buffer);
  #exchange: ContextExchange;
  #accepted = 0n;
  /** Something happened to a descriptor. */
  #isDue = false;
  #lastHostId = 0;
  #log: (text: string) => void;

  constructor(window: Window, options: WlOptions) {
    const { regionSize, vfds, contexts, memory } = options;
    this.#window = window;
    this.#options = options;
    this.#log = limited(options.log, LOG_LINES);
    this.#account = new Account({ vfds, contexts, memory });
    this.#doorbells = new Doorbells(options.doorbells);
    this.features = WlFeature.TransFlags | WlFeature.UseShmem | WlFeature.Size64 |
      WlFeature.Events | WlFeature.Credit | WlFeature.ShowOnce |
      (this.#doorbells.isOffered ? WlFeature.Doorbells : 0n);
    this.sharedMemory = [regionSize];
    this.#region = new Region(regionSize);
    this.#in = new InQueue(window.view);
    this.#out = new OutQueue(window);
    this.#vector = new IoVector(window, SEGMENTS);
    this.#exchange = this.#makeExchange();
    this.sources = [{ fd: this.#watcher.fd, ready: () => this.#isDue = true }];
  }

  attach(mapper: SharedMemoryMapper | undefined): void {
    this.#region.attach(mapper);
  }

  start(features: bigint): void {
    this.#accepted = features;
    this.#exchange = this.#makeExchange();
  }

  process(queue: Virtqueue): void {
    if (this.#isDue) {
      this.#isDue = false;
      this.#watcher.tell();
    }
    if (queue.index === IN) this.#deliver(queue);
    else this.#perform(queue);
  }

  settle(): void {
    this.#out.settle();
  }

  reset(): void {
    // The frontend has done so.
    this.#region.clear();
    this.#doorbells.forget();
    for (const vfd of this.#vfds.values()) vfd.close();
    this.#vfds.clear();
    // What one of them drops may be the last that another lives for.
    for (const endpoint of this.#live) endpoint.drop();
    this.#turns.clear();
    this.#log = limited(this.#options.log, LOG_LINES);
  }

  /** It is not used any more. */
  [Symbol.dispose](): void {
    this.reset();
    this.#watcher[Symbol.dispose]();
    this.#vector[Symbol.dispose]();
  }

  #makeExchange(): ContextExchange {
    return {
      window: this.#window,
      vector: this.#vector,
      out: this.#out,
      watcher: this.#watcher,
      turns: this.#turns,
      live: this.#live,
      unblocked: this.#unblocked,
      credit: this.#has(WlFeature.Credit) ? WL_FIRST_CREDIT : Number.MAX_SAFE_INTEGER,
      adopt: (fds, data) => this.#adopt(fds, data),
      log: (text) => this.#log(text),
    };
  }

  // ---- From the host to the guest

  /** Lets everybody who has something tell it, in turns, while the guest has buffers. */
  #deliver(queue: Virtqueue): void {
    const turns = this.#turns;
    this.#in.use(queue);
    let outcome: number = Turn.Done;
    for (let first = turns.first; first !== undefined; first = turns.first) {
      for (let i = 0; i < AT_ONCE; i++) {
        outcome = first.deliver(this.#in);
        if (outcome !== Turn.More) break;
      }
      turns.next();
      if (outcome !== Turn.Done) turns.add(first);
      if (outcome === Turn.NoBuffer) break;
    }
    this.#in.use(undefined);
  }

  /** Makes VFDs of what came with a message, all of them or none: then the answer says why. */
  #adopt(fds: Owned<Fd>[], data: Uint8Array): Arrival | string {
    const vfds: Vfd[] = [];
    let reason: string | undefined;
    for (const fd of fds) {
      const vfd = reason ?? this.#fromHost(fd);
      fd[Symbol.dispose]();
      if (typeof vfd === "string") reason = vfd;
      else vfds.push(vfd);
    }
    if (reason === undefined) {
      return new Arrival(vfds, data, (vfd, queue) => {
        queue.announce(announcement(vfd, WlCommand.New, this.#accepted));
        this.#add(vfd);
      });
    }
    for (const vfd of vfds) vfd.close();
    return reason;
  }

  #fromHost(fd: Owned<Fd>): Vfd | string {
    const what = whatHostSent(fd);
    if (what.kind === "refused") return what.reason;
    if (what.kind === "event" && !this.#has(WlFeature.Events)) {
      return "the guest knows no events";
    }
    const charge = this.#charge({ vfds: 1 });
    if (charge === undefined) return "the guest has too many descriptors";
    const id = this.#newHostId();
    switch (what.kind) {
      case "socket":
        return new ContextVfd(id, charge, fd, this.#exchange);
      case "pipe":
        return new PipeVfd(id, charge, fd, what.reads, this.#exchange);
      case "event":
        return new EventVfd(id, charge, fd, this.#exchange);
      case "memory": {
        const memory = this.#show(id, charge, fd, what.size, what.writable);
        if (memory !== undefined) return memory;
        charge.release();
        return `${what.size} bytes of memory cannot be mapped`;
      }
    }
  }

  #newHostId(): number {
    do this.#lastHostId = this.#lastHostId % (WL_HOST_ID - 1) + 1; while (
      this.#vfds.has(WL_HOST_ID | this.#lastHostId)
    );
    return WL_HOST_ID | this.#lastHostId;
  }

  // ---- From the guest to the host

  #perform(queue: Virtqueue): void {
    const out = this.#out;
    out.use(queue);
    if (this.#unblocked.size > 0) {
      for (const endpoint of this.#unblocked) {
        this.#unblocked.delete(endpoint);
        endpoint.pushHeld();
      }
    }
    for (let send = out.next(); send !== undefined; send = out.next()) {
      const response = this.#execute(send);
      if (response !== undefined) out.answer(send, response);
    }
  }

  /** Performs a command: its response, or undefined when that comes later. */
  #execute(send: Send): number | Uint8Array | undefined {
    const length = this.#read(send, WlTransfer.size);
    const view = this.#headView;
    const type = view.getUint32(WlHeader.offset.type, true);
    const id = view.getUint32(WlVfd.offset.id, true);
    // The last word of a head of this size: a SEND's count of ids, the bytes of CREDIT.
    const number = view.getUint32(WlTransfer.offset.count, true);
    if (length < WlVfd.size) return WlResponse.InvalidCommand;
    switch (type) {
      case WlCommand.Send:
        return length < WlTransfer.size
          ? WlResponse.InvalidCommand
          : this.#send(send, this.#vfds.get(id), number);
      case WlCommand.Close:
        return this.#close(id);
      case WlCommand.Credit:
        return length < WlCredit.size
          ? WlResponse.InvalidCommand
          : this.#giveCredit(this.#vfds.get(id), number);
      case WlCommand.ArmEvent:
        return this.#arm(this.#vfds.get(id));
      case WlCommand.Doorbell:
        return this.#read(send, WlDoorbell.size) < WlDoorbell.size
          ? WlResponse.InvalidCommand
          : this.#bindDoorbell(this.#vfds.get(id));
      case WlCommand.New:
      case WlCommand.NewContext:
      case WlCommand.NewNamedContext:
      case WlCommand.NewPipe:
      case WlCommand.NewEvent:
        return this.#read(send, WlNewNamed.size) < SHORT_NEW
          ? WlResponse.InvalidCommand
          : this.#new(type);
      default:
        return WlResponse.InvalidCommand;
    }
  }

  /** Reads the first bytes of a command, with zeroes where there are none. How many there are. */
  #read({ chain }: Send, most: number): number {
    const length = Math.min(chain.readableBytes, most);
    if (length < most) this.#head.fill(0, length, most);
    readHead(this.#window.view, chain, this.#headView, length);
    return length;
  }

  #send(send: Send, vfd: Vfd | undefined, count: number): number | undefined {
    if (vfd === undefined) return WlResponse.InvalidId;
    if (count > WL_MAX_DESCRIPTORS) return WlResponse.InvalidType;
    send.at = WlTransfer.size + 4 * count;
    send.end = send.chain.readableBytes;
    if (send.at > send.end) return WlResponse.InvalidCommand;
    if (count > 0) {
      const refusal = this.#lend(send, count);
      if (refusal !== undefined) return refusal;
    }
    const response = vfd.send(send);
    // Who does not take a SEND leaves what was lent to it.
    if (response !== undefined) send.giveBack(false);
    return response;
  }

  /** Finds what the ids of a SEND stand for. Why it cannot be sent, if it cannot. */
  #lend(send: Send, count: number): number | undefined {
    // Over a stream nothing goes without a byte.
    if (send.at === send.end) return WlResponse.InvalidType;
    const vfds: Vfd[] = [];
    const fds: Fd[] = [];
    send.vfds = vfds;
    send.fds = fds;
    this.#read(send, send.at);
    for (let i = 0; i < count; i++) {
      const vfd = this.#vfds.get(this.#headView.getUint32(WlTransfer.size + 4 * i, true));
      const fd = vfd?.lend();
      if (vfd === undefined || fd === undefined) {
        send.giveBack(false);
        return WlResponse.InvalidId;
      }
      vfds.push(vfd);
      fds.push(fd);
    }
    return undefined;
  }

  #close(id: number): number {
    const vfd = this.#vfds.get(id);
    if (vfd === undefined) return WlResponse.InvalidId;
    this.#vfds.delete(id);
    if (vfd instanceof EventVfd) this.#doorbells.release(vfd);
    vfd.close();
    return WlResponse.Ok;
  }

  #arm(vfd: Vfd | undefined): number {
    if (!this.#has(WlFeature.Events)) return WlResponse.InvalidCommand;
    if (vfd === undefined) return WlResponse.InvalidId;
    if (!(vfd instanceof EventVfd)) return WlResponse.InvalidType;
    try {
      vfd.arm();
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#log(error.message);
      return WlResponse.OutOfMemory;
    }
    return WlResponse.Ok;
  }

  /** The command is in the head. */
  #bindDoorbell(vfd: Vfd | undefined): number {
    if (!this.#has(WlFeature.Doorbells)) return WlResponse.InvalidCommand;
    if (vfd === undefined) return WlResponse.InvalidId;
    if (!(vfd instanceof EventVfd)) return WlResponse.InvalidType;
    const { slot, flags } = WlDoorbell.at(this.#headView);
    return this.#doorbells.bind(vfd, slot, flags);
  }

  #giveCredit(vfd: Vfd | undefined, bytes: number): number {
    if (!this.#has(WlFeature.Credit)) return WlResponse.InvalidCommand;
    if (vfd === undefined) return WlResponse.InvalidId;
    if (!(vfd instanceof Endpoint)) return WlResponse.InvalidType;
    vfd.giveCredit(bytes);
    return WlResponse.Ok;
  }

  /** The commands that make a VFD, of which one is in the head. */
  #new(type: number): number | Uint8Array {
    const { id, flags, size: low, sizeHigh } = WlNew.at(this.#headView);
    if (type === WlCommand.NewEvent && !this.#has(WlFeature.Events)) {
      return WlResponse.InvalidCommand;
    }
    if (id === 0 || id >= WL_HOST_ID || this.#vfds.has(id)) return WlResponse.InvalidId;
    let vfd: Vfd | number;
    try {
      switch (type) {
        case WlCommand.New:
          vfd = this.#newMemory(id, low + (this.#has(WlFeature.Size64) ? sizeHigh * TWO_32 : 0));
          break;
        case WlCommand.NewContext:
          vfd = this.#newContext(id, DEFAULT_NAME);
          break;
        case WlCommand.NewNamedContext:
          vfd = this.#newContext(id, this.#name());
          break;
        case WlCommand.NewPipe:
          vfd = this.#newPipe(id, flags & (WlFlag.Read | WlFlag.Write));
          break;
        default:
          vfd = this.#newEvent(id);
      }
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#log(error.message);
      return WlResponse.OutOfMemory;
    }
    if (typeof vfd === "number") return vfd;
    this.#add(vfd);
    return announcement(vfd, WlResponse.New, this.#accepted);
  }

  #newMemory(id: number, bytes: number): Vfd | number {
    const size = inPages(bytes);
    if (size === 0 || !this.#region.isAttached || !this.#has(WlFeature.UseShmem)) {
      return WlResponse.Error;
    }
    const charge = this.#charge({ vfds: 1, memory: size });
    if (charge === undefined) return WlResponse.OutOfMemory;
    return this.#charged(charge, () => {
      using fd = memfd("virtio-wl", size);
      return this.#show(id, charge, fd, size, true) ?? WlResponse.OutOfMemory;
    });
  }

  #newContext(id: number, name: string): Vfd | number {
    const charge = this.#charge({ vfds: 1, contexts: 1 });
    if (charge === undefined) return WlResponse.OutOfMemory;
    return this.#charged(charge, () => {
      const socket = this.#options.openContext(name);
      if (socket === "unknown") return WlResponse.InvalidId;
      if (socket === "unreachable") return WlResponse.Error;
      return new ContextVfd(id, charge, socket, this.#exchange);
    });
  }

  /** The name in a command; one that is no text is none that anybody has configured. */
  #name(): string {
    const { name } = WlNewNamed.at(this.#headView);
    const end = name.indexOf(0);
    return new TextDecoder().decode(end < 0 ? name : name.subarray(0, end));
  }

  #newPipe(id: number, access: number): Vfd | number {
    if (access !== WlFlag.Read && access !== WlFlag.Write) return WlResponse.InvalidFlags;
    const charge = this.#charge({ vfds: 1 });
    if (charge === undefined) return WlResponse.OutOfMemory;
    return this.#charged(charge, () => {
      const [from, to] = pipe();
      return access === WlFlag.Read
        ? new PipeVfd(id, charge, from, true, this.#exchange, to)
        : new PipeVfd(id, charge, to, false, this.#exchange, from);
    });
  }

  #newEvent(id: number): Vfd | number {
    const charge = this.#charge({ vfds: 1 });
    if (charge === undefined) return WlResponse.OutOfMemory;
    return this.#charged(charge, () => {
      using event = EventFd.create();
      return new EventVfd(id, charge, event.fd.dup(), this.#exchange);
    });
  }

  // ---- Both

  /** Memory, mapped for the guest; undefined when it cannot be. The descriptor moves into it. */
  #show(
    id: number,
    charge: Charge,
    fd: Owned<Fd>,
    size: number,
    writable: boolean,
  ): MemoryVfd | undefined {
    const length = inPages(size);
    if (!this.#has(WlFeature.UseShmem)) return undefined;
    if (length >= TWO_32 && !this.#has(WlFeature.Size64)) return undefined;
    const offset = this.#region.map(fd, length, writable, this.#has(WlFeature.ShowOnce));
    if (offset === undefined) return undefined;
    return new MemoryVfd(id, charge, fd, this.#region, { offset, size, writable });
  }

  /** Charges the guest, if it can bear that once everything is forgotten that the host has taken meanwhile. */
  #charge(amounts: Partial<Amounts>): Charge | undefined {
    const charge = this.#account.charge(amounts);
    if (charge !== undefined) return charge;
    for (const endpoint of this.#live) {
      if (endpoint instanceof ContextVfd) endpoint.forgetRead();
    }
    return this.#account.charge(amounts);
  }

  /** Makes something that was charged; it costs nothing when it does not come into being. */
  #charged(charge: Charge, make: () => Vfd | number): Vfd | number {
    let vfd: Vfd | number | undefined;
    try {
      return vfd = make();
    } finally {
      if (vfd === undefined || typeof vfd === "number") charge.release();
    }
  }

  /** It is the guest's from here on. One that the host cannot wait for is hung up. */
  #add(vfd: Vfd): void {
    this.#vfds.set(vfd.id, vfd);
    if (!(vfd instanceof Endpoint)) return;
    try {
      vfd.watch();
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#log(error.message);
      vfd.abandon();
    }
  }

  #has(feature: bigint): boolean {
    return (this.#accepted & feature) !== 0n;
  }
}
