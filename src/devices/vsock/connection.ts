import {
  Errno,
  Events,
  type Fd,
  type IoVector,
  OsError,
  type Owned,
  sendVector,
  setNonBlocking,
  shutdownRead,
  shutdownWrite,
  type Window,
} from "../../os/mod.ts";
import {
  type DescriptorChain,
  VsockHeader,
  VsockOperation,
  VsockShutdown,
} from "../../virtio/mod.ts";
import { gatherReadable } from "../chain_bytes.ts";
import type { Turns } from "../turns.ts";
import type { Watcher } from "../watcher.ts";
import { ReceiveCredit, SendCredit } from "./credit.ts";
import { answerGreeting, takeGreeting } from "./greeting.ts";
import { type GuestQueue, NO_BUFFER, type Route } from "./guest_queue.ts";
import type { Packet } from "./packet.ts";
import { SendBuffer } from "./send_buffer.ts";

/** What connections need of their device. */
export interface ConnectionHost {
  readonly window: Window;
  /** For one use. */
  readonly vector: IoVector;
  readonly watcher: Watcher;
  /** Who has something for the guest. */
  readonly turns: Turns<Connection>;
  /** A program of the host wants this port of the guest: the connection gets a port of ours, and its place in the table. */
  greeted(connection: Connection, guestPort: number): void;
  /** The guest knows it no more, or never did: it leaves the table. */
  forgotten(connection: Connection): void;
  /** It is over, and holds nothing any more. */
  over(connection: Connection): void;
  /** One line for people. */
  log(text: string): void;
}

/** What came of a turn. */
export const Turn = {
  /** There is nothing more for the guest, for now. */
  Done: 0,
  More: 1,
  /** There was no buffer. */
  NoBuffer: 2,
} as const;

/**
 * Where a connection is in its life:
 * - `greeting`: a program of the host has not said yet which port it wants
 * - `asking`: the guest wants a port of the host, and the monitor connects
 * - `requesting`: a program of the host wants a port of the guest, which has not answered
 * - `open`
 * - `closing`: the host is done in both directions, and the guest has to say that it is
 * - `resetting`: the guest is to be told that it is over
 * - `draining`: the guest knows it no more; what it has written still goes to the host
 * - `over`
 */
type State =
  | "greeting"
  | "asking"
  | "requesting"
  | "open"
  | "closing"
  | "resetting"
  | "draining"
  | "over";

/** What the guest is to be told, beside data: a mask. */
const Due = {
  Request: 1,
  Response: 2,
  CreditUpdate: 4,
  CreditRequest: 8,
  Shutdown: 16,
} as const;

const HEADER = VsockHeader.size;
/** What reading a socket begins with, and what it grows to. */
const LEAST_EXPECTED = 4096;
const MOST_EXPECTED = 65536;

/** A stream between a program of the guest and one of the host. None of its calls blocks. */
export class Connection implements Route {
  /** It is in the list of turns. */
  hasTurn = false;
  guestPort = 0;
  hostPort = 0;
  readonly #host: ConnectionHost;
  readonly #receive: ReceiveCredit;
  readonly #send = new SendCredit();
  readonly #buffer: SendBuffer;
  #state: State;
  #due = 0;
  #socket: Owned<Fd> | undefined;
  #place: number | undefined;
  /** The socket may have something for the guest. */
  #isReadable = false;
  /** The peer of the socket has closed it: beyond what is in it, it gives and takes nothing. */
  #isHungUp = false;
  /** What of it waits to be written waits for the socket. */
  #isBlocked = false;
  /** What each side has said that it will not do any more: masks of {@link VsockShutdown}. */
  #guestEnds = 0;
  #hostEnds = 0;
  #hasAskedForCredit = false;
  #expected = LEAST_EXPECTED;

  /**
   * @param room bytes of the guest's that may wait for the host; a multiple of the page size
   * @param begins who has begun it: `greeting` is a program of the host, `asking` one of the guest
   */
  constructor(host: ConnectionHost, readonly room: number, begins: "greeting" | "asking") {
    this.#host = host;
    this.#receive = new ReceiveCredit(room);
    this.#buffer = new SendBuffer(host.window, room);
    this.#state = begins;
  }

  get forwarded(): number {
    return this.#receive.forwarded;
  }

  /** It has not been said yet what it is for. */
  get isUngreeted(): boolean {
    return this.#state === "greeting";
  }

  // ---- The host

  /** A program of the host has connected. @param socket moves in here */
  accepted(socket: Owned<Fd>): void {
    try {
      this.#adopt(socket);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#host.log(error.message);
      return this.#finish();
    }
    // Mostly it has said already what it wants.
    this.#greet();
  }

  /** The monitor has connected for the guest, or could not. @param socket moves in here */
  connected(socket: Owned<Fd> | undefined): void {
    if (this.#state !== "asking") return socket?.[Symbol.dispose]();
    if (socket === undefined) return this.#reset();
    try {
      this.#adopt(socket);
    } catch (error) {
      return this.#fail(error);
    }
    this.#state = "open";
    this.#tell(Due.Response);
  }

  #adopt(socket: Owned<Fd>): void {
    this.#socket = socket.move();
    setNonBlocking(this.#socket, true);
    this.#place = this.#host.watcher.add(this, this.#socket, Events.In | Events.PeerClosed);
  }

  /** Something happened to the socket: a mask of {@link Events}. */
  happened(events: number): void {
    if ((events & (Events.HangUp | Events.Error)) !== 0) this.#isHungUp = true;
    if ((events & ~Events.Out) !== 0) this.#isReadable = true;
    switch (this.#state) {
      case "greeting":
        return this.#greet();
      case "requesting":
        // Nobody waits for the guest's answer any more.
        if (this.#isHungUp) this.#reset();
        return;
      case "draining":
        if (this.#isHungUp) return this.#finish();
        return this.#flush();
      case "open":
        if (this.#isBlocked) this.#flush();
        if (this.#state !== "open") return;
        // What it has left is the guest's to read, if it does that.
        if (
          this.#isHungUp && ((this.#hostEnds & VsockShutdown.Send) !== 0 ||
            (this.#guestEnds & VsockShutdown.Receive) !== 0)
        ) {
          return this.#endHost(VsockShutdown.Both);
        }
        this.#host.turns.add(this);
    }
  }

  #greet(): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    try {
      const port = takeGreeting(socket);
      if (port === "later" && !this.#isHungUp) return;
      if (typeof port !== "number") return this.#finish();
      this.#state = "requesting";
      this.#host.greeted(this, port);
      this.#tell(Due.Request);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#finish();
    }
  }

  // ---- From the guest

  /** The packet by which a program of the guest asks for this connection. */
  asked(packet: Packet): void {
    this.guestPort = packet.sourcePort;
    this.hostPort = packet.destinationPort;
    this.#heed(packet);
  }

  /** A packet for this connection; its data lies in the chain. */
  take(packet: Packet, chain: DescriptorChain): void {
    const { Response, Reset, Shutdown, ReadWrite, CreditUpdate, CreditRequest } = VsockOperation;
    if (packet.operation === Reset) return this.#guestReset();
    if (!this.#heed(packet)) return;
    switch (packet.operation) {
      case Response:
        return this.#response();
      case Shutdown:
        return this.#guestShutdown(packet.flags & VsockShutdown.Both);
      case ReadWrite:
        return this.#data(packet.length, chain);
      case CreditUpdate:
        return;
      case CreditRequest:
        if (this.#state === "open") this.#tell(Due.CreditUpdate);
        return;
      default:
        return this.#breach(`operation ${packet.operation} is none that may come`);
    }
  }

  /** Takes note of the credit that comes with every packet. False when it is a lie. */
  #heed({ bufferSize, forwarded }: Packet): boolean {
    const hadCredit = this.#send.left > 0;
    if (!this.#send.said(bufferSize, forwarded)) {
      this.#breach("it claims to have read what was not sent");
      return false;
    }
    if (!hadCredit && this.#send.left > 0) {
      this.#hasAskedForCredit = false;
      if (this.#isReadable && this.#state === "open") this.#host.turns.add(this);
    }
    return true;
  }

  #response(): void {
    const socket = this.#socket;
    if (this.#state !== "requesting" || socket === undefined) {
      return this.#breach("it answers what was not asked");
    }
    try {
      if (!answerGreeting(socket, this.hostPort)) return this.#reset();
    } catch (error) {
      return this.#fail(error);
    }
    this.#state = "open";
    if (this.#isReadable) this.#host.turns.add(this);
  }

  #guestReset(): void {
    // What it wrote before it closed still has to arrive.
    const drains = this.#state === "open" && this.#isBlocked &&
      (this.#guestEnds & VsockShutdown.Send) !== 0;
    this.#host.forgotten(this);
    if (!drains) return this.#finish();
    this.#state = "draining";
  }

  #guestShutdown(flags: number): void {
    switch (this.#state) {
      case "asking":
      case "requesting":
        return this.#reset();
      case "closing":
        if (flags === VsockShutdown.Both) this.#reset();
        return;
      case "open": {
        const news = flags & ~this.#guestEnds;
        this.#guestEnds |= flags;
        // It was told so when all was written; what is left is then for nobody.
        if (this.#guestEnds === VsockShutdown.Both) {
          if (!this.#isBlocked) this.#reset();
        } else if (news === VsockShutdown.Receive) {
          this.#isReadable = false;
          this.#shut(shutdownRead);
        } else if (news === VsockShutdown.Send && !this.#isBlocked) {
          this.#shut(shutdownWrite);
        }
      }
    }
  }

  #data(length: number, chain: DescriptorChain): void {
    if (length > chain.readableBytes - HEADER) {
      return this.#breach("a packet is shorter than it says");
    }
    // The guest may not know yet that the host is done.
    if (this.#state === "closing" || this.#state === "resetting") return;
    if (this.#state !== "open" || (this.#guestEnds & VsockShutdown.Send) !== 0) {
      return this.#breach("data came when none may come");
    }
    if (!this.#receive.receive(length)) return this.#breach("it sends more than it has credit for");
    if ((this.#hostEnds & VsockShutdown.Receive) !== 0) {
      this.#receive.forward(length);
    } else {
      const end = HEADER + length;
      const begin = HEADER + (this.#isBlocked ? 0 : this.#write(chain, end));
      // Nobody reads it any more, or what could not be written waits.
      if (this.#state !== "open" || this.#socket === undefined) return;
      if ((this.#hostEnds & VsockShutdown.Receive) === 0 && begin < end) {
        this.#keep(chain, begin, end);
      }
    }
    if (this.#receive.isNews) this.#tell(Due.CreditUpdate);
  }

  /** Writes data of a packet straight out of the guest's memory. Bytes that need no more attention. */
  #write(chain: DescriptorChain, end: number): number {
    const { vector } = this.#host;
    gatherReadable(vector, chain, HEADER, end);
    if (vector.bytes === 0 || this.#socket === undefined) return 0;
    const bytes = sendVector(this.#socket, vector, NO_FDS);
    if (bytes > 0) {
      this.#receive.forward(bytes);
      return bytes;
    }
    if (bytes === 0 || bytes === -Errno.EAGAIN) return 0;
    this.#hostIsDeaf(end - HEADER);
    return end - HEADER;
  }

  #keep(chain: DescriptorChain, begin: number, end: number): void {
    try {
      this.#buffer.push(chain, begin, end);
    } catch (error) {
      return this.#fail(error);
    }
    if (this.#isBlocked) return;
    this.#isBlocked = true;
    this.#watch(Events.In | Events.PeerClosed | Events.Out);
  }

  /** Goes on with what the socket did not take. */
  #flush(): void {
    const { vector } = this.#host;
    while (this.#isBlocked && this.#socket !== undefined) {
      this.#buffer.gather(vector);
      const bytes = sendVector(this.#socket, vector, NO_FDS);
      if (bytes === -Errno.EAGAIN) break;
      if (bytes <= 0) {
        this.#hostIsDeaf(0);
        break;
      }
      this.#buffer.taken(bytes);
      this.#receive.forward(bytes);
      if (this.#buffer.length === 0) this.#flushed();
    }
    if (this.#state === "open" && this.#receive.isNews) this.#tell(Due.CreditUpdate);
  }

  /** All that the guest has written is with the host. */
  #flushed(): void {
    this.#isBlocked = false;
    if (this.#state === "draining") return this.#finish();
    this.#watch(Events.In | Events.PeerClosed);
    if (this.#guestEnds === VsockShutdown.Both) this.#reset();
    else if ((this.#guestEnds & VsockShutdown.Send) !== 0) this.#shut(shutdownWrite);
  }

  /** The host takes nothing any more: what was for it, and so many bytes that came just now, are dropped. */
  #hostIsDeaf(bytes: number): void {
    this.#receive.forward(this.#buffer.length + bytes);
    this.#buffer[Symbol.dispose]();
    this.#isBlocked = false;
    if (this.#state === "draining") return this.#finish();
    if (this.#guestEnds === VsockShutdown.Both) return this.#reset();
    this.#watch(Events.In | Events.PeerClosed);
    this.#endHost(VsockShutdown.Receive);
  }

  // ---- To the guest

  /** Tells the guest one thing, or some data. */
  deliver(queue: GuestQueue): number {
    if (this.#state === "resetting") {
      if (!queue.send(this, VsockOperation.Reset)) return Turn.NoBuffer;
      this.#host.forgotten(this);
      this.#finish();
      return Turn.Done;
    }
    if (this.#due !== 0) return this.#deliverDue(queue);
    const mayRead = this.#state === "open" && this.#isReadable &&
      (this.#hostEnds & VsockShutdown.Send) === 0 &&
      (this.#guestEnds & VsockShutdown.Receive) === 0;
    return mayRead ? this.#deliverData(queue) : Turn.Done;
  }

  #deliverDue(queue: GuestQueue): number {
    const due = this.#due;
    const first = due & -due;
    if (!queue.send(this, operationOf(first), first === Due.Shutdown ? this.#hostEnds : 0)) {
      return Turn.NoBuffer;
    }
    this.#due = due & ~first;
    this.#receive.announced();
    return Turn.More;
  }

  #deliverData(queue: GuestQueue): number {
    const socket = this.#socket;
    if (socket === undefined) return Turn.Done;
    const credit = this.#send.left;
    if (credit === 0) {
      if (this.#hasAskedForCredit) return Turn.Done;
      this.#hasAskedForCredit = true;
      this.#due |= Due.CreditRequest;
      return Turn.More;
    }
    const expected = this.#expected;
    const bytes = queue.data(socket, this, credit, expected);
    if (bytes > 0) {
      this.#send.sent(bytes);
      this.#receive.announced();
      this.#expected = Math.min(
        MOST_EXPECTED,
        Math.max(LEAST_EXPECTED, bytes < expected ? bytes : 2 * bytes),
      );
      return Turn.More;
    }
    if (bytes === NO_BUFFER) return Turn.NoBuffer;
    if (bytes === -Errno.EINTR) return Turn.More;
    this.#isReadable = false;
    if (bytes === -Errno.EAGAIN) return Turn.Done;
    if (bytes === 0) this.#endHost(this.#isHungUp ? VsockShutdown.Both : VsockShutdown.Send);
    else this.#reset();
    return Turn.More;
  }

  // ---- The end

  /** The host is done in these directions. */
  #endHost(ends: number): void {
    if ((this.#hostEnds | ends) === this.#hostEnds) return;
    this.#hostEnds |= ends;
    this.#tell(Due.Shutdown);
    if (this.#hostEnds !== VsockShutdown.Both) return;
    this.#state = "closing";
    this.#letGo();
  }

  /** The guest broke the rules: it hears of the end of this connection. */
  #breach(reason: string): void {
    this.#host.log(`port ${this.guestPort} of the guest to ${this.hostPort}: ${reason}`);
    this.#reset();
  }

  /** An error of this host. */
  #fail(error: unknown): void {
    if (!(error instanceof OsError || error instanceof RangeError)) throw error;
    this.#host.log(error.message);
    this.#reset();
  }

  /** Ends it for both sides. */
  #reset(): void {
    if (this.#state === "over" || this.#state === "draining") return;
    // The guest has not heard of it yet.
    if ((this.#due & Due.Request) !== 0) {
      this.#host.forgotten(this);
      return this.#finish();
    }
    this.#state = "resetting";
    this.#due = 0;
    this.#letGo();
    this.#host.turns.add(this);
  }

  /** It is over on both sides, at once. */
  drop(): void {
    this.#finish();
  }

  #finish(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#due = 0;
    this.#letGo();
    this.#host.over(this);
  }

  #letGo(): void {
    this.#buffer[Symbol.dispose]();
    this.#isBlocked = this.#isReadable = false;
    const socket = this.#socket;
    if (socket === undefined) return;
    if (this.#place !== undefined) this.#host.watcher.remove(this.#place, socket);
    this.#place = undefined;
    this.#socket = undefined;
    socket[Symbol.dispose]();
  }

  #tell(due: number): void {
    this.#due |= due;
    this.#host.turns.add(this);
  }

  #shut(how: (socket: Fd) => void): void {
    if (this.#socket === undefined) return;
    try {
      how(this.#socket);
    } catch (error) {
      this.#fail(error);
    }
  }

  #watch(events: number): void {
    if (this.#place === undefined || this.#socket === undefined) return;
    this.#host.watcher.change(this.#place, this.#socket, events);
  }
}

const NO_FDS: readonly Fd[] = [];

function operationOf(due: number): number {
  switch (due) {
    case Due.Request:
      return VsockOperation.Request;
    case Due.Response:
      return VsockOperation.Response;
    case Due.CreditUpdate:
      return VsockOperation.CreditUpdate;
    case Due.CreditRequest:
      return VsockOperation.CreditRequest;
    default:
      return VsockOperation.Shutdown;
  }
}
