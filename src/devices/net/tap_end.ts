import {
  attachTapQueue,
  Errno,
  Events,
  type Fd,
  IoVector,
  OsError,
  type Owned,
  readv,
  setNonBlocking,
  setTapOffload,
  TapFlag,
  tapFlags,
  TapOffload,
  type Window,
  writev,
} from "../../os/mod.ts";
import {
  DescriptorChain,
  ETHERNET_HEADER,
  NetFeature,
  NetHeader,
  type Virtqueue,
} from "../../virtio/mod.ts";
import type { Watched, Watcher } from "../watcher.ts";
import { type NetEnd, NetEndError } from "./net_end.ts";
import { Placed, type ReceiveBuffers } from "./receive_buffers.ts";

/** Pieces of a packet that is sent; Linux has 18 of data at most, and one or two headers. */
const SEGMENTS = 256;
/** Pieces that a packet is read into. */
const RECEIVE_SEGMENTS = 256;
/** More than any packet has with its header. */
const SPILL = 2 ** 17;
/** What a packet is taken to have before any has come, in bytes. */
const FIRST_GUESS = 2048;

/** One queue of a tap. */
class TapQueue implements Watched, Disposable {
  isReadable = true;
  isWritable = true;
  isAttached = true;
  /** Bytes of the next packet, as the last ones were: what is more goes a way round. */
  guess = FIRST_GUESS;
  /** A packet that waits for buffers: its bytes with the header, 0 for none, and how many are in buffers already. */
  pending = 0;
  direct = 0;
  /** The window offset of what did not go into buffers. */
  readonly spill: number;
  readonly #window: Window;
  #watcher: Watcher | undefined;
  #place = 0;

  constructor(readonly fd: Owned<Fd>, window: Window) {
    this.#window = window;
    this.spill = window.allocate(SPILL);
    window.mapAnonymous(this.spill, SPILL);
  }

  watch(watcher: Watcher): void {
    this.#watcher = watcher;
    this.#place = watcher.add(this, this.fd, Events.In);
  }

  happened(events: number): void {
    this.isReadable = true;
    if (this.isWritable || (events & ~Events.In) === 0) return;
    this.isWritable = true;
    this.#watcher?.change(this.#place, this.fd, Events.In);
  }

  /** It took no more packets: what comes next is that it does again. */
  becomeFull(): void {
    this.isWritable = false;
    this.#watcher?.change(this.#place, this.fd, Events.In | Events.Out);
  }

  [Symbol.dispose](): void {
    this.#watcher?.remove(this.#place, this.fd);
    this.fd[Symbol.dispose]();
    this.#window.free(this.spill, SPILL);
  }
}

/**
 * A tap of the host. Packets go between its descriptors and guest memory with the guest's own headers, which the kernel
 * checks: no byte of them is copied here, except of a packet that is longer than those before it. What the
 * tap does not take for another reason than being full (it is down, the header lies) is dropped, as by a cable.
 */
export class TapEnd implements NetEnd {
  readonly kind = "tap";
  readonly features = NetFeature.Csum | NetFeature.HostTso4 | NetFeature.HostTso6 |
    NetFeature.HostEcn | NetFeature.GuestCsum | NetFeature.GuestTso4 | NetFeature.GuestTso6 |
    NetFeature.GuestEcn;
  readonly #queues: readonly TapQueue[];
  readonly #receiveVector: IoVector;
  readonly #sendVector: IoVector;
  readonly #chain = new DescriptorChain(SEGMENTS);
  #isGone = false;

  /**
   * @param fds a queue of the tap for each pair; they move in here
   * @throws NetEndError for descriptors that are none
   */
  constructor(window: Window, fds: readonly Owned<Fd>[]) {
    for (const fd of fds) check(fd, fds.length > 1);
    this.#queues = fds.map((fd) => new TapQueue(fd, window));
    this.#receiveVector = new IoVector(window, RECEIVE_SEGMENTS + 1);
    this.#sendVector = new IoVector(window, SEGMENTS);
    for (const fd of fds) setNonBlocking(fd, true);
    this.setOffloads(0n);
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  watch(watcher: Watcher): void {
    for (const queue of this.#queues) queue.watch(watcher);
  }

  /** A queue that nobody reads gets no packets: the kernel puts them into the others. The first one stays. */
  enable(pair: number, enabled: boolean): void {
    const queue = this.#queues[pair];
    if (pair === 0 || queue === undefined || queue.isAttached === enabled) return;
    attachTapQueue(queue.fd, enabled);
    queue.isAttached = enabled;
    queue.isReadable = enabled;
  }

  setOffloads(offloads: bigint): void {
    const has = (feature: bigint) => (offloads & feature) !== 0n;
    let value = 0;
    if (has(NetFeature.GuestCsum)) {
      value = TapOffload.Csum;
      if (has(NetFeature.GuestTso4)) value |= TapOffload.Tso4;
      if (has(NetFeature.GuestTso6)) value |= TapOffload.Tso6;
      if (value !== TapOffload.Csum && has(NetFeature.GuestEcn)) value |= TapOffload.TsoEcn;
    }
    setTapOffload(this.#queues[0].fd, value);
  }

  receive(pair: number, queue: Virtqueue, buffers: ReceiveBuffers): void {
    const tap = this.#queues[pair];
    queue.needsKicks = false;
    for (;;) {
      if (tap.pending > 0) {
        const placed = buffers.place(queue, tap.pending, tap.direct, tap.spill);
        if (placed === Placed.Starved) {
          queue.needsKicks = true;
          return;
        }
        tap.pending = 0;
      }
      if (!tap.isReadable || !tap.isAttached || queue.fault !== undefined) return;
      const room = buffers.reserve(queue, tap.guess);
      if (room === 0) {
        queue.needsKicks = true;
        return;
      }
      this.#read(tap, buffers, Math.min(room, tap.guess));
    }
  }

  #read(tap: TapQueue, buffers: ReceiveBuffers, room: number): void {
    const vector = this.#receiveVector;
    vector.clear();
    const direct = buffers.gather(vector, room);
    vector.push(tap.spill, SPILL);
    const length = readv(tap.fd, vector);
    if (length > 0) {
      tap.guess = length > tap.guess ? length : tap.guess - ((tap.guess - length) >> 4);
      // Shorter than its header is no packet.
      tap.pending = length < NetHeader.size ? 0 : length;
      tap.direct = Math.min(direct, length);
    } else if (length !== -Errno.EINTR) {
      tap.isReadable = false;
      if (length !== -Errno.EAGAIN) this.#isGone = true;
    }
  }

  send(pair: number, queue: Virtqueue): void {
    const tap = this.#queues[pair];
    const chain = this.#chain;
    while (tap.isWritable && queue.next(chain)) {
      if (this.#write(tap, chain)) {
        queue.complete(chain, 0);
        continue;
      }
      queue.putBack(chain);
      tap.becomeFull();
    }
  }

  /** False when the tap is full. */
  #write({ fd }: TapQueue, chain: DescriptorChain): boolean {
    if (chain.readableBytes < NetHeader.size + ETHERNET_HEADER) return true;
    const vector = this.#sendVector;
    vector.clear();
    for (let i = 0; i < chain.readableCount; i++) vector.push(chain.offsets[i], chain.lengths[i]);
    for (;;) {
      const result = writev(fd, vector);
      if (result !== -Errno.EINTR) return result !== -Errno.EAGAIN;
    }
  }

  /** A packet that waited for buffers is lost: part of it is in some that the driver gets back. */
  settle(): void {
    for (const queue of this.#queues) queue.pending = 0;
  }

  [Symbol.dispose](): void {
    for (const queue of this.#queues) queue[Symbol.dispose]();
    this.#receiveVector[Symbol.dispose]();
    this.#sendVector[Symbol.dispose]();
  }
}

function check(fd: Fd, isOneOfMany: boolean): void {
  let flags: number;
  try {
    flags = tapFlags(fd);
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    throw new NetEndError(
      error.code === "EPROTO"
        ? "the headers of the tap's packets have not 12 bytes (TUNSETVNETHDRSZ)"
        : "a descriptor is no tap",
    );
  }
  const needed = TapFlag.Tap | TapFlag.NoPacketInfo | TapFlag.VnetHeader |
    (isOneOfMany ? TapFlag.MultiQueue : 0);
  if ((flags & needed) !== needed) {
    const names = Object.entries(TapFlag).filter(([, flag]) => (needed & ~flags & flag) !== 0);
    throw new NetEndError(`the tap lacks ${names.map(([name]) => name).join(", ")}`);
  }
}
