import { Errno, type Uring } from "../../os/mod.ts";
import { BlkRequestType, BlkStatus, type DeviceSource, type Virtqueue } from "../../virtio/mod.ts";
import type { Limiter } from "../limiter.ts";
import type { BlkCommands } from "./blk_commands.ts";
import { BlkRequest } from "./blk_request.ts";

/** What the ring is doing for a request. */
const Stage = { Transfer: 0, Sync: 1 } as const;

/** So many are handed over at a time: few enough that the disk begins while the rest is still being read. */
const SUBMIT_BATCH = 8;

/**
 * Does requests by io_uring, so that many are with the disk at a time. Reads, writes and flushes
 * whose memory suits the disk go that way; all others wait for their end.
 */
export class RingEngine implements Disposable {
  readonly source: DeviceSource;
  readonly #ring: Uring;
  readonly #commands: BlkCommands;
  readonly #requests: readonly BlkRequest[];
  readonly #stages: Uint8Array;
  /** Bytes that a transfer must come to. */
  readonly #expected: Float64Array;
  readonly #free: Uint16Array;
  #freeCount: number;

  /** @param segments the most pieces of a request's data */
  constructor(ring: Uring, commands: BlkCommands, segments: number) {
    // A write may need a place for its flush while all others are under way.
    const count = Math.min(ring.entries, ring.completionEntries / 2);
    this.#ring = ring;
    this.#commands = commands;
    this.#requests = Array.from({ length: count }, () => new BlkRequest(segments));
    this.#stages = new Uint8Array(count);
    this.#expected = new Float64Array(count);
    this.#free = Uint16Array.from({ length: count }, (_, i) => count - 1 - i);
    this.#freeCount = count;
    this.source = { fd: ring.fd, ready: () => this.#ready() };
  }

  /** How many requests are with the disk. */
  get inFlight(): number {
    return this.#requests.length - this.#freeCount;
  }

  /** Whether the disk is done with something; undefined when it has nothing to do. */
  get hasNews(): boolean | undefined {
    return this.inFlight > 0 ? this.#ring.hasCompletions : undefined;
  }

  /** Ends what the disk has done, and takes requests while there is room for them and the limiter lets them pass. */
  process(queue: Virtqueue, limiter: Limiter | undefined): void {
    this.#collect();
    while (this.#freeCount > 0 && limiter?.lets(queue) !== false) {
      const slot = this.#free[this.#freeCount - 1];
      const request = this.#requests[slot];
      if (!queue.next(request.chain)) break;
      if (!this.#commands.parse(request)) {
        queue.break("request");
        break;
      }
      request.queue = queue;
      this.#freeCount--;
      this.#begin(slot, request);
      limiter?.passed(request.bytes);
      if (this.#ring.pending >= SUBMIT_BATCH) this.#submit();
    }
    this.#submit();
  }

  /** Waits until nothing is with the disk. */
  settle(): void {
    while (this.inFlight > 0) {
      this.#submit();
      if (!this.#collect() && this.inFlight > 0) this.#ring.submit(1);
    }
  }

  #ready(): void {
    this.#collect();
    this.#submit();
  }

  #begin(slot: number, request: BlkRequest): void {
    const { type, chain } = request;
    if (type === BlkRequestType.Flush) return this.#sync(slot);
    const isTransfer = type === BlkRequestType.In || type === BlkRequestType.Out;
    if (!isTransfer || chain.unreachable) {
      return this.#finish(slot, this.#commands.execute(request));
    }
    const position = this.#commands.position(request);
    if (position < 0) return this.#finish(slot, BlkStatus.IoError);
    const write = type === BlkRequestType.Out;
    const first = write ? request.readFirst : chain.readableCount;
    const end = write ? chain.readableCount : request.writeEnd;
    const { disk } = this.#commands;
    if (first === end || !disk.isAligned(chain, first, end, position)) {
      // It may rewrite what lies beside it, which nobody else may write meanwhile.
      this.#settleOthers();
      return this.#finish(slot, this.#commands.execute(request));
    }
    this.#stages[slot] = Stage.Transfer;
    this.#expected[slot] = write ? request.readBytes : request.writeBytes;
    if (this.#queue(slot, write, request, first, end, position) === 0) return;
    this.#submit();
    if (this.#queue(slot, write, request, first, end, position) === 0) return;
    this.#finish(slot, this.#commands.execute(request));
  }

  #queue(
    slot: number,
    write: boolean,
    { chain }: BlkRequest,
    first: number,
    end: number,
    position: number,
  ): number {
    const ring = this.#ring;
    if (end - first === 1) {
      const offset = chain.offsets[first];
      const length = chain.lengths[first];
      return write
        ? ring.write(offset, length, position, slot)
        : ring.read(offset, length, position, slot);
    }
    const vector = this.#commands.disk.fill(chain, first, end);
    return write
      ? ring.writeVector(vector, position, slot)
      : ring.readVector(vector, position, slot);
  }

  #sync(slot: number): void {
    this.#stages[slot] = Stage.Sync;
    if (this.#ring.sync(slot) === 0) return;
    this.#submit();
    if (this.#ring.sync(slot) === 0) return;
    this.#finish(slot, this.#commands.disk.flush() === 0 ? BlkStatus.Ok : BlkStatus.IoError);
  }

  /** All but the request that is just beginning. */
  #settleOthers(): void {
    while (this.inFlight > 1) {
      this.#submit();
      if (!this.#collect() && this.inFlight > 1) this.#ring.submit(1);
    }
  }

  /** The kernel takes everything, unless it is short of memory: then it has to be asked again. */
  #submit(): void {
    while (this.#ring.pending > 0) {
      if (this.#ring.submit() < 0) this.#collect();
    }
  }

  /** Ends what the disk has done. True when there was something. */
  #collect(): boolean {
    const ring = this.#ring;
    let any = false;
    while (ring.next()) {
      any = true;
      this.#done(ring.userData, ring.result);
    }
    return any;
  }

  #done(slot: number, result: number): void {
    const { Ok, IoError } = BlkStatus;
    if (this.#stages[slot] === Stage.Sync) return this.#finish(slot, result === 0 ? Ok : IoError);
    const request = this.#requests[slot];
    if (result !== this.#expected[slot]) {
      // Cut short, interrupted, or memory that the disk cannot reach. The whole again is as good.
      const hopeless = result === -Errno.EIO || result === -Errno.ENOSPC;
      return this.#finish(slot, hopeless ? IoError : this.#commands.execute(request));
    }
    if (request.type === BlkRequestType.Out && this.#commands.writeThrough) return this.#sync(slot);
    this.#finish(slot, Ok);
  }

  #finish(slot: number, status: number): void {
    this.#commands.complete(this.#requests[slot], status);
    this.#free[this.#freeCount++] = slot;
  }

  [Symbol.dispose](): void {
    this.settle();
    this.#ring[Symbol.dispose]();
  }
}
