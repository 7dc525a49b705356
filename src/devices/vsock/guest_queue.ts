import { Errno, type Fd, IoVector, readv, type Window } from "../../os/mod.ts";
import {
  DescriptorChain,
  type Virtqueue,
  VSOCK_HOST_CID,
  VsockHeader,
  VsockOperation,
  VsockType,
} from "../../virtio/mod.ts";
import { appendWritable, writeHead } from "../chain_bytes.ts";

const { offset, size: HEADER } = VsockHeader;
/** Pieces of a buffer, of which drivers make one or two. */
const SEGMENTS = 32;
/** Buffers that one read fills. */
const BUFFERS = 16;
/** The most that one read takes: nobody has the queue for long. */
const MOST_AT_ONCE = 65536;

/** Between whom a packet goes, and the credit that it carries. */
export interface Route {
  readonly guestPort: number;
  readonly hostPort: number;
  /** Our `buf_alloc` and `fwd_cnt`. */
  readonly room: number;
  readonly forwarded: number;
}

/** {@linkcode GuestQueue.data}: the driver has no buffer, or it is others' turn. */
export const NO_BUFFER = -Errno.ENODEV;

/** Packets to the guest, in the buffers that its driver has put there. */
export class GuestQueue implements Disposable {
  readonly #memory: DataView;
  readonly #guestCid: number;
  readonly #chains = Array.from({ length: BUFFERS }, () => new DescriptorChain(SEGMENTS));
  readonly #vector: IoVector;
  readonly #header = new DataView(new ArrayBuffer(HEADER));
  #queue: Virtqueue | undefined;

  constructor(window: Window, guestCid: number) {
    this.#memory = window.view;
    this.#guestCid = guestCid;
    this.#vector = new IoVector(window, BUFFERS * SEGMENTS);
  }

  /** What follows goes into this queue; without one there are no buffers. */
  use(queue: Virtqueue | undefined): void {
    this.#queue = queue;
  }

  /** Sends a packet without data. False when there is no buffer for it. */
  send(route: Route, operation: number, flags = 0): boolean {
    return this.sendFrom(VSOCK_HOST_CID, VsockType.Stream, route, operation, flags);
  }

  /** As {@link send}, in somebody else's name. */
  sendFrom(cid: number, type: number, route: Route, operation: number, flags: number): boolean {
    const chain = this.#chains[0];
    if (!this.#take(chain)) return false;
    this.#describe(route, operation, flags);
    this.#header.setUint32(offset.sourceCid, cid, true);
    this.#header.setUint32(offset.sourceCid + 4, cid / 2 ** 32, true);
    this.#header.setUint16(offset.type, type, true);
    this.#complete(chain, 0);
    return true;
  }

  /**
   * Reads from a socket straight into buffers of the driver.
   *
   * @param most bytes that the guest takes, at least 1
   * @param expected bytes that are likely to come: no more buffers are taken than those need
   * @returns bytes; 0 at the end; {@link NO_BUFFER}; another negative error number
   */
  data(socket: Fd, route: Route, most: number, expected: number): number {
    const chains = this.#chains;
    const vector = this.#vector;
    vector.clear();
    most = Math.min(most, MOST_AT_ONCE);
    const wanted = Math.min(most, expected);
    let count = 0;
    while (count < BUFFERS && vector.bytes < wanted && this.#take(chains[count])) {
      const room = Math.min(chains[count].writableBytes - HEADER, most - vector.bytes);
      appendWritable(vector, chains[count], HEADER, HEADER + room);
      count++;
    }
    if (count === 0) return NO_BUFFER;
    const bytes = readv(socket, vector);
    let used = 0;
    if (bytes > 0) {
      this.#describe(route, VsockOperation.ReadWrite, 0);
      for (let left = bytes; left > 0; used++) {
        const length = Math.min(left, chains[used].writableBytes - HEADER);
        this.#header.setUint32(offset.length, length, true);
        this.#complete(chains[used], length);
        left -= length;
      }
    }
    while (count > used) this.#queue?.putBack(chains[--count]);
    return bytes;
  }

  /** The next buffer; one without room for a header and a byte breaks the queue. */
  #take(chain: DescriptorChain): boolean {
    const queue = this.#queue;
    if (queue === undefined || !queue.next(chain)) return false;
    if (chain.writableBytes > HEADER) return true;
    queue.break("request");
    return false;
  }

  #describe(
    { guestPort, hostPort, room, forwarded }: Route,
    operation: number,
    flags: number,
  ): void {
    const header = this.#header;
    header.setUint32(offset.sourceCid, VSOCK_HOST_CID, true);
    header.setUint32(offset.sourceCid + 4, 0, true);
    header.setUint32(offset.destinationCid, this.#guestCid, true);
    header.setUint32(offset.destinationCid + 4, 0, true);
    header.setUint32(offset.sourcePort, hostPort, true);
    header.setUint32(offset.destinationPort, guestPort, true);
    header.setUint32(offset.length, 0, true);
    header.setUint16(offset.type, VsockType.Stream, true);
    header.setUint16(offset.operation, operation, true);
    header.setUint32(offset.flags, flags, true);
    header.setUint32(offset.bufferSize, room, true);
    header.setUint32(offset.forwarded, forwarded, true);
  }

  #complete(chain: DescriptorChain, bytes: number): void {
    writeHead(this.#memory, chain, this.#header, HEADER);
    this.#queue?.complete(chain, HEADER + bytes);
  }

  [Symbol.dispose](): void {
    this.#vector[Symbol.dispose]();
  }
}
