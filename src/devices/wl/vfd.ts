import {
  Errno,
  EventFd,
  Events,
  type Fd,
  type IoVector,
  MessageFlags,
  type Owned,
  pipe,
  pollOne,
  read,
  receivePiece,
  sendVector,
  writev,
} from "../../os/mod.ts";
import { WL_FIRST_CREDIT, WL_MAX_DESCRIPTORS, WlFlag } from "../../virtio/mod.ts";
import type { HeldSend } from "./held_send.ts";

/** What a host descriptor gave. */
export interface Input {
  /** Bytes; 0 when there will be no more. */
  readonly length: number;
  /** Descriptors that came with the first of them. */
  readonly fds: readonly Owned<Fd>[];
  /** More came than a message can carry. */
  readonly lost: boolean;
}

/** What came of an attempt to write: bytes, or why there are none. */
export type Written = number | "later" | "closed";

/** What is read from an event, and written to it. */
export const EVENT_SIZE = 8;

/** A pipe that is ready takes, or gives, at least this much without blocking. */
const PIPE_AT_ONCE = 4096;

/** A virtual descriptor: the guest's name for something of the host. Disposing closes that. */
export abstract class Vfd implements Disposable {
  /** Bytes that the driver still takes. */
  credit = WL_FIRST_CREDIT;
  /** The guest knows that nothing comes any more. */
  hungUp = false;
  /** What the poller was told to wait for; undefined when it does not know the descriptor. */
  watched: number | undefined;
  /** SENDs that wait for room, in order. */
  readonly held: HeldSend[] = [];

  constructor(readonly id: number) {}

  /** Of {@link WlFlag}. */
  abstract flags(transFlags: boolean): number;

  /** What a host process gets to which this is sent; undefined when there is nothing to send. */
  abstract readonly sendable: Fd | undefined;

  /** It was sent. */
  sent(): void {}

  /** The descriptor to wait for, if there is any. */
  readonly polled: Fd | undefined = undefined;

  /** Of {@link Events}: what brings input for the guest; 0 where only an end is noticed, undefined where nothing is. */
  get wanted(): number | undefined {
    return undefined;
  }

  /** Takes what is there, at most as much as the buffer holds; undefined when there is nothing. */
  read(_buffer: Uint8Array): Input | undefined {
    return undefined;
  }

  /** The most bytes that {@linkcode write} is given at a time; 0 when the guest can write none. */
  readonly atOnce: number = 0;

  /** Whether descriptors can go with them. */
  readonly carriesDescriptors: boolean = false;

  /** Writes what fits of some bytes, and the descriptors with the first of them. */
  write(_bytes: IoVector, _fds: readonly Fd[]): Written {
    return "closed";
  }

  [Symbol.dispose](): void {
    for (const held of this.held) held.release();
    this.held.length = 0;
  }
}

const NONE: readonly Owned<Fd>[] = [];
const END: Input = { length: 0, fds: NONE, lost: false };

/** Where shared memory is, and what it is; in bytes. */
export interface MemoryPlace {
  /** In the shared memory region. */
  readonly offset: number;
  /** In whole pages. */
  readonly length: number;
  /** As the descriptor has it. */
  readonly size: number;
  readonly writable: boolean;
  /** It counts for the guest's limit. */
  readonly isGuests: boolean;
}

/** Memory that guest and host share. */
export class MemoryVfd extends Vfd {
  override readonly sendable: Owned<Fd>;

  /** @param fd moves in here */
  constructor(id: number, fd: Owned<Fd>, readonly place: MemoryPlace) {
    super(id);
    this.sendable = fd.move();
  }

  flags(): number {
    return this.place.writable ? WlFlag.Write | WlFlag.Read : WlFlag.Read;
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.sendable[Symbol.dispose]();
  }
}

/** A context: a stream socket of the host. */
export class ContextVfd extends Vfd {
  override readonly polled: Owned<Fd>;
  override readonly atOnce = Infinity;
  override readonly carriesDescriptors = true;

  /** @param fd moves in here */
  constructor(id: number, fd: Owned<Fd>) {
    super(id);
    this.polled = fd.move();
  }

  get sendable(): Fd {
    return this.polled;
  }

  flags(transFlags: boolean): number {
    return transFlags ? WlFlag.Write | WlFlag.Read : WlFlag.Control;
  }

  override get wanted(): number {
    return Events.In;
  }

  override read(buffer: Uint8Array): Input | undefined {
    const { polled } = this;
    const { length, fds, truncated } = receivePiece(
      polled,
      buffer,
      WL_MAX_DESCRIPTORS,
      MessageFlags.DontWait,
    );
    if (length === -Errno.EAGAIN) return undefined;
    return length <= 0 ? END : { length, fds, lost: truncated };
  }

  override write(bytes: IoVector, fds: readonly Fd[]): Written {
    const sent = sendVector(this.polled, bytes, fds, MessageFlags.DontWait);
    if (sent > 0) return sent;
    return sent === -Errno.EAGAIN ? "later" : "closed";
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.polled[Symbol.dispose]();
  }
}

/** One end of a pipe, and of a pipe that the guest made also the other until that is sent to somebody. */
export class PipeVfd extends Vfd {
  override readonly polled: Owned<Fd>;
  override readonly atOnce: number;
  #other: Owned<Fd> | undefined;
  readonly #isGuests: boolean;

  /** @param reads the guest reads from it. The descriptors move in here */
  constructor(id: number, fd: Owned<Fd>, readonly reads: boolean, other?: Owned<Fd>) {
    super(id);
    this.polled = fd.move();
    this.atOnce = reads ? 0 : PIPE_AT_ONCE;
    this.#other = other?.move();
    this.#isGuests = other !== undefined;
  }

  /** A new pipe of the guest's. */
  static create(id: number, reads: boolean): PipeVfd {
    const [from, to] = pipe();
    return reads ? new PipeVfd(id, from, true, to) : new PipeVfd(id, to, false, from);
  }

  get sendable(): Fd | undefined {
    return this.#isGuests ? this.#other : this.polled;
  }

  /** Only whoever got the other end has it: its end is to be seen here. */
  override sent(): void {
    this.#other?.[Symbol.dispose]();
    this.#other = undefined;
  }

  flags(): number {
    return this.reads ? WlFlag.Read : WlFlag.Write;
  }

  override get wanted(): number {
    return this.reads ? Events.In : 0;
  }

  override read(buffer: Uint8Array): Input | undefined {
    if (!this.reads) return END;
    const { polled } = this;
    if (pollOne(polled, Events.In, 0) === 0) return undefined;
    const length = read(polled, buffer.subarray(0, PIPE_AT_ONCE));
    return length > 0 ? { length, fds: NONE, lost: false } : END;
  }

  override write(bytes: IoVector): Written {
    const happened = pollOne(this.polled, Events.Out, 0);
    if (happened === 0) return "later";
    if (happened & Events.Error) return "closed";
    const written = writev(this.polled, bytes);
    return written > 0 ? written : "closed";
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.polled[Symbol.dispose]();
    this.#other?.[Symbol.dispose]();
  }
}

/** An eventfd. Its counter is left to its other users until the guest wants to read it. */
export class EventVfd extends Vfd {
  armed = false;
  override readonly polled: Owned<Fd>;
  readonly #event: EventFd;

  /** @param fd moves in here */
  constructor(id: number, fd: Owned<Fd>) {
    super(id);
    this.polled = fd.move();
    this.#event = EventFd.borrow(this.polled);
  }

  get sendable(): Fd {
    return this.polled;
  }

  flags(): number {
    return WlFlag.Write | WlFlag.Read | WlFlag.Event;
  }

  override get wanted(): number | undefined {
    return this.armed ? Events.In : undefined;
  }

  override read(buffer: Uint8Array): Input | undefined {
    const count = this.#event.drain();
    if (count === 0) return undefined;
    new DataView(buffer.buffer, buffer.byteOffset).setBigUint64(0, BigInt(count), true);
    return { length: EVENT_SIZE, fds: NONE, lost: false };
  }

  /** Adds to the counter; less than 2^32. */
  add(count: number): void {
    this.#event.add(count);
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.#event[Symbol.dispose]();
    this.polled[Symbol.dispose]();
  }
}
