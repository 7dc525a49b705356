import { checksum, Errno, IoVector, MAX_VECTOR, type Window } from "../../os/mod.ts";
import {
  DescriptorChain,
  ETHERNET_HEADER,
  NetHeader,
  NetHeaderFlag,
  type Virtqueue,
} from "../../virtio/mod.ts";

/** Bytes of the length in front of each frame. */
export const LENGTH_SIZE = 4;
/** The most bytes of a frame: what an IP packet of 65535 bytes in it comes to, with a VLAN tag; passt takes 65535. */
export const MAX_FRAME = 65535;

const SEGMENTS = 256;
const MOST_FRAMES = 64;
/** No more frames are taken while those that wait have so many bytes. */
const ENOUGH = 2 ** 19;
const BACKLOG = ENOUGH + 2 ** 17;
/**
 * What goes with one system call, unless a single frame has more: the kernel hands over so much at once. passt takes the
 * rest of a frame only if that comes in one piece, and loses its place in the stream otherwise.
 */
const AT_ONCE = 2 ** 15;
/** The length and the beginning of a frame whose checksum is completed. */
const HEAD = 256;

/** A packet on its way. */
class Outgoing {
  readonly chain = new DescriptorChain(SEGMENTS);
  queue: Virtqueue | undefined;
  /** Bytes at {@link head} that are sent instead of the first `skip` of the chain. */
  headLength = 0;
  skip = 0;
  /** With its length. */
  bytes = 0;

  /** @param head window offset of {@link HEAD} bytes */
  constructor(readonly head: number) {}
}

/**
 * Packets of transmit queues on their way into a stream: they stay in guest memory until the stream has taken their
 * last byte, which is when the driver gets them back.
 */
export class StreamSender implements Disposable {
  /** The stream takes no more for now. Whoever sees that change says so here. */
  isBlocked = false;
  readonly #window: Window;
  readonly #view: DataView;
  readonly #memory: Uint8Array;
  readonly #write: (vector: IoVector) => number;
  readonly #heads: number;
  readonly #frames: readonly Outgoing[];
  readonly #vector: IoVector;
  readonly #one: IoVector;
  #first = 0;
  #count = 0;
  #bytes = 0;
  /** Bytes of the first frame that have left. */
  #sent = 0;
  /** Copies of frames whose queues could not wait; they leave before all others. */
  readonly #backlog: number;
  #backlogStart = 0;
  #backlogEnd = 0;
  /** Bytes of the first frame there. */
  #backlogFrame = 0;
  #isGone = false;

  /** @param write sends from a vector without waiting; returns bytes, -EAGAIN when it is full, another error for ever */
  constructor(window: Window, write: (vector: IoVector) => number) {
    this.#window = window;
    this.#view = window.view;
    this.#memory = new Uint8Array(window.buffer);
    this.#write = write;
    this.#heads = window.allocate(MOST_FRAMES * HEAD);
    window.mapAnonymous(this.#heads, MOST_FRAMES * HEAD);
    this.#frames = Array.from(
      { length: MOST_FRAMES },
      (_, i) => new Outgoing(this.#heads + i * HEAD),
    );
    this.#vector = new IoVector(window, MAX_VECTOR);
    this.#one = new IoVector(window, SEGMENTS + 1);
    this.#backlog = window.allocate(BACKLOG);
    window.mapAnonymous(this.#backlog, BACKLOG);
  }

  /** Takes packets while there is room for them, and sends what the stream takes. */
  send(queue: Virtqueue): void {
    // What is kept goes first; it is gone unless the stream is full.
    this.flush();
    for (let more = true; more && !this.isBlocked;) {
      more = this.#take(queue);
      this.flush();
    }
  }

  /** Whether there may be more when these have left. */
  #take(queue: Virtqueue): boolean {
    while (this.#count < MOST_FRAMES && this.#bytes < ENOUGH) {
      const frame = this.#frames[(this.#first + this.#count) % MOST_FRAMES];
      if (!queue.next(frame.chain)) return false;
      frame.queue = queue;
      if (this.#isGone || !this.#prepare(frame)) {
        queue.complete(frame.chain, 0);
        continue;
      }
      this.#count++;
      this.#bytes += frame.bytes;
    }
    return true;
  }

  /** Reads a packet's header and writes the frame's head. False when it is no packet. */
  #prepare(frame: Outgoing): boolean {
    const { chain, head } = frame;
    const view = this.#view;
    const length = chain.readableBytes - NetHeader.size;
    if (length < ETHERNET_HEADER || length > MAX_FRAME) return false;
    view.setUint32(head, length);
    frame.headLength = LENGTH_SIZE;
    frame.skip = NetHeader.size;
    frame.bytes = LENGTH_SIZE + length;
    // Behind the length, where the packet's own beginning comes afterwards if it has to be changed.
    const header = head + LENGTH_SIZE;
    this.#copy(chain, 0, NetHeader.size, header);
    if ((view.getUint8(header) & NetHeaderFlag.NeedsCsum) === 0) return true;
    const start = view.getUint16(header + NetHeader.offset.csumStart, true);
    const field = start + view.getUint16(header + NetHeader.offset.csumOffset, true);
    const changed = field + 2;
    if (changed > length || changed > HEAD - LENGTH_SIZE) return false;
    this.#copy(chain, NetHeader.size, changed, header);
    frame.headLength += changed;
    frame.skip += changed;
    const one = this.#one;
    one.clear();
    this.#gather(one, frame, 0);
    const sum = checksum(one, LENGTH_SIZE + start);
    if (sum < 0) return false;
    // 0 would mean that there is none, where that exists.
    view.setUint16(header + field, sum || 0xffff);
    return true;
  }

  /** Sends what waits, as far as the stream takes it. */
  flush(): void {
    while (!this.isBlocked && !this.#isGone) {
      const vector = this.#vector;
      vector.clear();
      if (this.#backlogFrame > 0) {
        vector.push(this.#backlog + this.#backlogStart, this.#backlogFrame);
      } else this.#gatherFrames(vector);
      if (vector.count === 0) return;
      const count = this.#write(vector);
      if (count === -Errno.EAGAIN) this.isBlocked = true;
      else if (count < 0) this.#drop();
      else this.#left(count);
    }
  }

  #gatherFrames(vector: IoVector): void {
    for (let i = 0, skip = this.#sent, bytes = 0; i < this.#count; i++, skip = 0) {
      const frame = this.#frames[(this.#first + i) % MOST_FRAMES];
      bytes += frame.bytes - skip;
      if (i > 0 && bytes > AT_ONCE) return;
      if (vector.count + 1 + frame.chain.readableCount > vector.capacity) return;
      this.#gather(vector, frame, skip);
    }
  }

  /** So many bytes have left. */
  #left(count: number): void {
    if (this.#backlogFrame > 0) return this.#leftBacklog(count);
    this.#sent += count;
    while (this.#count > 0) {
      const frame = this.#frames[this.#first];
      if (this.#sent < frame.bytes) return;
      this.#sent -= frame.bytes;
      this.#retire(frame);
    }
  }

  #leftBacklog(count: number): void {
    this.#backlogStart += count;
    this.#backlogFrame -= count;
    if (this.#backlogStart === this.#backlogEnd) this.#backlogStart = this.#backlogEnd = 0;
    else if (this.#backlogFrame === 0) {
      this.#backlogFrame = LENGTH_SIZE + this.#view.getUint32(this.#backlog + this.#backlogStart);
    }
  }

  #retire(frame: Outgoing): void {
    frame.queue?.complete(frame.chain, 0);
    frame.queue = undefined;
    this.#bytes -= frame.bytes;
    this.#first = (this.#first + 1) % MOST_FRAMES;
    this.#count--;
  }

  /** Nobody will ever read it. */
  #drop(): void {
    this.#isGone = true;
    this.#sent = 0;
    this.#backlogStart = this.#backlogEnd = this.#backlogFrame = 0;
    while (this.#count > 0) this.#retire(this.#frames[this.#first]);
  }

  /**
   * The driver gets everything back. What the stream did not take, and the rest of what it has half of, is kept: queues
   * take back only what they gave last, and packets between these that were none are complete already.
   */
  settle(): void {
    this.flush();
    let skip = this.#sent;
    this.#sent = 0;
    while (this.#count > 0) {
      const frame = this.#frames[this.#first];
      if (this.#backlogFrame === 0) this.#backlogFrame = frame.bytes - skip;
      this.#one.clear();
      this.#gather(this.#one, frame, skip);
      skip = 0;
      for (let i = 0; i < this.#one.count; i++) {
        const from = this.#one.offsetAt(i);
        const length = this.#one.lengthAt(i);
        this.#memory.copyWithin(this.#backlog + this.#backlogEnd, from, from + length);
        this.#backlogEnd += length;
      }
      this.#retire(frame);
    }
  }

  /** Appends a frame with its length, without the first bytes of both. */
  #gather(vector: IoVector, frame: Outgoing, skip: number): void {
    const { chain, head, headLength } = frame;
    if (skip < headLength) vector.push(head + skip, headLength - skip);
    let left = frame.skip + Math.max(0, skip - headLength);
    for (let i = 0; i < chain.readableCount; i++) {
      const length = chain.lengths[i];
      if (left >= length) left -= length;
      else {
        vector.push(chain.offsets[i] + left, length - left);
        left = 0;
      }
    }
  }

  /** Copies bytes from a place in a packet. */
  #copy(chain: DescriptorChain, at: number, length: number, to: number): void {
    for (let i = 0; length > 0; i++) {
      const size = chain.lengths[i];
      if (at >= size) {
        at -= size;
        continue;
      }
      const count = Math.min(length, size - at);
      const from = chain.offsets[i] + at;
      for (let k = 0; k < count; k++) this.#memory[to + k] = this.#memory[from + k];
      to += count;
      length -= count;
      at = 0;
    }
  }

  [Symbol.dispose](): void {
    this.#window.free(this.#heads, MOST_FRAMES * HEAD);
    this.#window.free(this.#backlog, BACKLOG);
    this.#vector[Symbol.dispose]();
    this.#one[Symbol.dispose]();
  }
}
