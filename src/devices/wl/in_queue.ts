import type { IoVector } from "../../os/mod.ts";
import {
  DescriptorChain,
  type Virtqueue,
  WL_IN_BUFFER,
  WlCommand,
  WlTransfer,
  WlVfd,
} from "../../virtio/mod.ts";
import { gatherWritable, writeHead } from "../chain_bytes.ts";
import type { Vfd } from "./vfd.ts";

const SEGMENTS = 64;
/** A buffer with less room is of no use, and given back empty. */
const LEAST_ROOM = 256;
const HEAD = WlTransfer.size;

/** Messages to the guest, each in a buffer that the driver has put there. */
export class InQueue {
  readonly #memory: DataView;
  readonly #chain = new DescriptorChain(SEGMENTS);
  readonly #message = new DataView(new ArrayBuffer(WL_IN_BUFFER));
  #queue: Virtqueue | undefined;

  constructor(memory: DataView) {
    this.#memory = memory;
  }

  /** What follows goes into this queue; without one there are no buffers. */
  use(queue: Virtqueue | undefined): void {
    this.#queue = queue;
  }

  /** Takes a buffer for the next message. False when there is none, or it is others' turn. */
  take(): boolean {
    const queue = this.#queue;
    if (queue === undefined) return false;
    while (queue.next(this.#chain)) {
      if (this.#chain.writableBytes >= LEAST_ROOM) return true;
      queue.complete(this.#chain, 0);
    }
    return false;
  }

  /** The buffer is not needed after all. */
  putBack(): void {
    this.#queue?.putBack(this.#chain);
  }

  /** Bytes of data for which a message with so many ids has room in this buffer. */
  room(ids: number): number {
    return Math.min(WL_IN_BUFFER, this.#chain.writableBytes) - HEAD - 4 * ids;
  }

  /** Where the data of a message without ids goes. */
  gather(vector: IoVector, bytes: number): void {
    gatherWritable(vector, this.#chain, HEAD, HEAD + bytes);
  }

  /** RECV, with data that lies in the buffer already. */
  received({ id }: Vfd, bytes: number): void {
    this.#head(WlCommand.Receive, id, 0);
    writeHead(this.#memory, this.#chain, this.#message, HEAD);
    this.#queue?.complete(this.#chain, HEAD + bytes);
  }

  /** RECV. @param data no more than there is {@link room} for */
  receive({ id }: Vfd, vfds: readonly Vfd[], data: Uint8Array): void {
    this.#head(WlCommand.Receive, id, vfds.length);
    for (let i = 0; i < vfds.length; i++) this.#message.setUint32(HEAD + 4 * i, vfds[i].id, true);
    const at = HEAD + 4 * vfds.length;
    new Uint8Array(this.#message.buffer, at).set(data);
    this.#complete(at + data.length);
  }

  /** HUP: nothing more comes. */
  hangUp({ id }: Vfd): void {
    this.#head(WlCommand.HangUp, id, 0);
    this.#complete(WlVfd.size);
  }

  /** NEW: the guest learns of a VFD. @param message as in `announcement.ts` */
  announce(message: Uint8Array): void {
    new Uint8Array(this.#message.buffer).set(message);
    this.#complete(message.length);
  }

  #head(type: number, id: number, count: number): void {
    const { offset } = WlTransfer;
    this.#message.setUint32(offset.type, type, true);
    this.#message.setUint32(offset.flags, 0, true);
    this.#message.setUint32(offset.id, id, true);
    this.#message.setUint32(offset.count, count, true);
  }

  #complete(bytes: number): void {
    writeHead(this.#memory, this.#chain, this.#message, bytes);
    this.#queue?.complete(this.#chain, bytes);
  }
}
