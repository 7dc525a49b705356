import {
  Errno,
  Events,
  type Fd,
  fileStat,
  IoVector,
  type Owned,
  readv,
  sendVector,
  setNonBlocking,
  type Window,
} from "../../os/mod.ts";
import {
  ETHERNET_HEADER,
  NetFeature,
  NetHeader,
  NetHeaderFlag,
  type Virtqueue,
} from "../../virtio/mod.ts";
import type { Watched, Watcher } from "../watcher.ts";
import { type NetEnd, NetEndError } from "./net_end.ts";
import { Placed, type ReceiveBuffers } from "./receive_buffers.ts";
import { LENGTH_SIZE, MAX_FRAME, StreamSender } from "./stream_sender.ts";

/** What is read at a time, and more than any frame has. */
const CAPACITY = 2 ** 18;
/** A packet's header lies over the length of its frame and the end of the frame before. */
const AHEAD = NetHeader.size - LENGTH_SIZE;
/** The most reads in a turn: frames that nobody has room for may come without end. */
const READS = 64;

/**
 * A connected stream on which each Ethernet frame follows its length (u32, big endian), the way passt and QEMU's
 * stream netdev speak. Many frames go with one system call. The other end knows no offloads: checksums are completed here,
 * and what a guest would have segmented goes as one large frame. While the stream is full, packets wait in their queues.
 */
export class StreamEnd implements NetEnd, Watched {
  readonly kind = "stream";
  readonly features = NetFeature.Csum | NetFeature.HostTso4 | NetFeature.HostTso6 |
    NetFeature.HostEcn | NetFeature.GuestCsum;
  readonly #window: Window;
  readonly #fd: Owned<Fd>;
  readonly #vector: IoVector;
  readonly #sender: StreamSender;
  readonly #log: (text: string) => void;
  readonly #memory: Uint8Array;
  /** Window offset of what has come; frames begin at {@link AHEAD}. */
  readonly #buffer: number;
  #start = AHEAD;
  #end = AHEAD;
  /** Bytes of the frame at the start, when its header is in place. */
  #frame = 0;
  #isReadable = true;
  #isGone = false;
  /** Of the headers of received packets. */
  #flags = 0;
  #watcher: Watcher | undefined;
  #place = 0;

  /**
   * @param fd moves in here
   * @param log one line for people
   * @throws NetEndError when it is no socket
   */
  constructor(window: Window, fd: Owned<Fd>, log: (text: string) => void) {
    if (!fileStat(fd).isSocket) throw new NetEndError("the stream is not a socket");
    setNonBlocking(fd, true);
    this.#window = window;
    this.#fd = fd;
    this.#log = log;
    this.#vector = new IoVector(window, 1);
    this.#memory = new Uint8Array(window.buffer);
    this.#buffer = window.allocate(CAPACITY);
    window.mapAnonymous(this.#buffer, CAPACITY);
    this.#sender = new StreamSender(window, (vector) => this.#sendSome(vector));
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  watch(watcher: Watcher): void {
    this.#watcher = watcher;
    this.#place = watcher.add(this, this.#fd, Events.In);
  }

  happened(events: number): void {
    this.#isReadable = true;
    if (!this.#sender.isBlocked || (events & ~Events.In) === 0) return;
    this.#sender.isBlocked = false;
    this.#watchAgain();
    this.#sender.flush();
  }

  /** All frames come for the first pair. */
  enable(): void {}

  /** Whoever is at the other end of a local stream has checked its checksums, or made them. */
  setOffloads(offloads: bigint): void {
    this.#flags = (offloads & NetFeature.GuestCsum) !== 0n ? NetHeaderFlag.DataValid : 0;
  }

  receive(pair: number, queue: Virtqueue, buffers: ReceiveBuffers): void {
    queue.needsKicks = false;
    if (pair !== 0) return;
    for (let reads = 0; queue.fault === undefined && !this.#isGone;) {
      if (!this.#nextFrame()) {
        if (!this.#isReadable) return;
        if (reads++ === READS) return this.#watchAgain();
        this.#read();
        continue;
      }
      const packet = this.#buffer + this.#start - AHEAD;
      // The frame may have waited since another driver was there.
      this.#window.view.setUint8(packet, this.#flags);
      const placed = buffers.place(queue, NetHeader.size + this.#frame, 0, packet);
      if (placed === Placed.Starved) {
        queue.needsKicks = true;
        return;
      }
      this.#start += LENGTH_SIZE + this.#frame;
      this.#frame = 0;
    }
  }

  /** Whether there is a whole frame; its header is in front of it then. */
  #nextFrame(): boolean {
    if (this.#frame > 0) return true;
    const { view } = this.#window;
    while (this.#end - this.#start >= LENGTH_SIZE) {
      const at = this.#buffer + this.#start;
      const length = view.getUint32(at);
      if (length > MAX_FRAME) {
        this.#lose(`a frame of ${length} bytes came: this is no stream of frames`);
        return false;
      }
      if (this.#end - this.#start < LENGTH_SIZE + length) return false;
      if (length < ETHERNET_HEADER) {
        this.#start += LENGTH_SIZE + length;
        continue;
      }
      this.#frame = length;
      const header = at - AHEAD;
      view.setUint32(header, 0);
      view.setUint32(header + 4, 0);
      view.setUint32(header + 8, 0);
      return true;
    }
    return false;
  }

  #read(): void {
    if (this.#start > AHEAD) {
      const from = this.#buffer + this.#start;
      this.#memory.copyWithin(this.#buffer + AHEAD, from, this.#buffer + this.#end);
      this.#end -= this.#start - AHEAD;
      this.#start = AHEAD;
    }
    this.#vector.clear();
    this.#vector.push(this.#buffer + this.#end, CAPACITY - this.#end);
    const count = readv(this.#fd, this.#vector);
    // Also behind a short read may be the end, which was told before and is not told again.
    if (count > 0) this.#end += count;
    else if (count === -Errno.EAGAIN) this.#isReadable = false;
    else if (count !== -Errno.EINTR) this.#lose("the other end of the stream is gone");
  }

  send(_pair: number, queue: Virtqueue): void {
    this.#sender.send(queue);
  }

  /** Bytes that the stream has taken, or a negative error number. */
  #sendSome(vector: IoVector): number {
    const count = sendVector(this.#fd, vector, []);
    if (count === -Errno.EAGAIN) this.#watchAgain(Events.Out);
    else if (count < 0) this.#lose("the other end of the stream is gone");
    return count;
  }

  /** What is there already is an event again. */
  #watchAgain(more = this.#sender.isBlocked ? Events.Out : 0): void {
    this.#watcher?.change(this.#place, this.#fd, Events.In | more);
  }

  #lose(reason: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#log(reason);
  }

  settle(): void {
    this.#sender.settle();
  }

  [Symbol.dispose](): void {
    this.#watcher?.remove(this.#place, this.#fd);
    this.#fd[Symbol.dispose]();
    this.#window.free(this.#buffer, CAPACITY);
    this.#vector[Symbol.dispose]();
    this.#sender[Symbol.dispose]();
  }
}
