import {
  acceptUnix,
  Events,
  type Fd,
  IoVector,
  OsError,
  type Owned,
  setNonBlocking,
  type Window,
} from "../../os/mod.ts";
import {
  DescriptorChain,
  DeviceId,
  type DeviceSource,
  type VirtioDevice,
  type Virtqueue,
  VSOCK_FIRST_GUEST_CID,
  VSOCK_HOST_CID,
  VsockConfig,
  VsockEvent,
  VsockEventId,
  VsockFeature,
  VsockOperation,
  VsockType,
} from "../../virtio/mod.ts";
import { limited } from "../../vhost/mod.ts";
import { writeHead } from "../chain_bytes.ts";
import { Turns } from "../turns.ts";
import { Watcher } from "../watcher.ts";
import { Connection, type ConnectionHost, Turn } from "./connection.ts";
import { ConnectionTable } from "./connection_table.ts";
import { GuestQueue } from "./guest_queue.ts";
import { Packet } from "./packet.ts";
import { Refusals } from "./refusals.ts";
import { Room } from "./room.ts";

/** A guest's context id, its way to the host, and the host's to it. */
export interface VsockOptions {
  /** The guest's context id. */
  readonly cid: number;
  /** Where programs of the host connect to ports of the guest; stays the caller's. */
  readonly listener: Fd;
  /**
   * Connects to what stands for a port of the host. The answer comes later, with a socket that the device owns, or none
   * when nobody is there.
   */
  readonly connect: (port: number, answer: (socket: Owned<Fd> | undefined) => void) => void;
  /** The most connections; {@linkcode MOST_CONNECTIONS} when left out. */
  readonly connections?: number;
  /** One line for people. */
  readonly log: (text: string) => void;
}

/** How many connections a device has unless it is told otherwise. */
export const MOST_CONNECTIONS = 1024;

const RECEIVE = 0;
const EVENT = 2;
/** Pieces of a packet: 64 KiB in pages, a header, and some more. */
const SEGMENTS = 64;
/** Connections that are accepted before others have their turn. */
const ACCEPTED_AT_ONCE = 32;
/** Ports of ours for connections that programs of the host begin. */
const FIRST_HOST_PORT = 2 ** 30;
const LAST_HOST_PORT = 2 ** 31 - 1;
/** A guest can make us complain as often as it likes. */
const LOG_LINES = 20;

/**
 * Socket device (virtio 1.2 §5.10) whose host side are Unix sockets. A program of the host connects to the listener and
 * says `CONNECT PORT`; a program of the guest that connects to a port of the host reaches what that stands for. Data goes
 * straight between those sockets and guest memory.
 */
export class VsockDevice implements VirtioDevice, Disposable {
  readonly id = DeviceId.Vsock;
  readonly features = VsockFeature.Stream;
  readonly queueCount = 3;
  readonly config: Uint8Array;
  readonly sources: readonly DeviceSource[];

  readonly #window: Window;
  readonly #options: VsockOptions;
  readonly #most: number;
  readonly #host: ConnectionHost;
  readonly #guest: GuestQueue;
  readonly #watcher = new Watcher();
  readonly #turns = new Turns<Connection>();
  readonly #table = new ConnectionTable();
  readonly #live = new Set<Connection>();
  readonly #refusals = new Refusals();
  readonly #room: Room;
  readonly #packet = new Packet();
  readonly #chain = new DescriptorChain(SEGMENTS);
  readonly #event = new DataView(
    VsockEvent.encode({ id: VsockEventId.TransportReset }).buffer,
  );
  /** Queues as they were seen last: another one in the same place has begun since. */
  readonly #seen: (Virtqueue | undefined)[] = [];
  /** We know of all that the driver has open. */
  #isCurrent = false;
  /** The driver has to hear that all its connections are over. */
  #isResetDue = false;
  /** Something happened to a socket. */
  #isDue = false;
  #mayAccept = false;
  /** The driver has no buffer for what waits. */
  #isStarved = true;
  #goesOn = false;
  #lastHostPort = LAST_HOST_PORT;
  #log: (text: string) => void;

  constructor(window: Window, options: VsockOptions) {
    const { cid, listener, connections = MOST_CONNECTIONS } = options;
    if (!Number.isInteger(cid) || cid < VSOCK_FIRST_GUEST_CID || cid >= 0xffff_ffff) {
      throw new RangeError(`a guest's context id is ${VSOCK_FIRST_GUEST_CID} to 4294967294`);
    }
    this.#window = window;
    this.#options = options;
    this.#most = connections;
    this.#log = limited(options.log, LOG_LINES);
    this.#room = new Room(connections);
    this.#guest = new GuestQueue(window, cid);
    this.config = VsockConfig.encode({ guestCid: cid });
    setNonBlocking(listener, true);
    this.#watcher.add({ happened: () => this.#mayAccept = true }, listener, Events.In);
    this.sources = [{ fd: this.#watcher.fd, ready: () => this.#isDue = true }];
    this.#host = {
      window,
      vector: new IoVector(window, SEGMENTS),
      watcher: this.#watcher,
      turns: this.#turns,
      greeted: (connection, guestPort) => {
        connection.guestPort = guestPort;
        connection.hostPort = this.#newHostPort();
        this.#table.add(connection);
      },
      forgotten: (connection) => this.#table.remove(connection),
      over: (connection) => {
        if (!this.#live.delete(connection)) return;
        this.#room.giveBack(connection.room);
        // Somebody may wait to be accepted.
        if (this.#mayAccept) this.#goesOn = true;
      },
      log: (text) => this.#log(text),
    };
  }

  process(queue: Virtqueue): void {
    if (this.#seen[queue.index] !== queue) this.#begin(queue);
    if (this.#isDue) {
      this.#isDue = false;
      this.#watcher.tell();
    }
    if (this.#mayAccept) this.#accept();
    if (queue.index === RECEIVE) this.#deliver(queue);
    else if (queue.index === EVENT) this.#announceReset(queue);
    else this.#take(queue);
  }

  goesOn(): boolean {
    const goesOn = this.#goesOn;
    this.#goesOn = false;
    return goesOn;
  }

  /** Nothing is held over a round. */
  settle(): void {
    this.#isStarved = true;
  }

  reset(): void {
    for (const connection of this.#live) connection.drop();
    this.#table.clear();
    this.#turns.clear();
    this.#refusals.clear();
    this.#seen.length = 0;
    this.#isCurrent = this.#isResetDue = this.#goesOn = false;
    this.#isStarved = true;
    this.#log = limited(this.#options.log, LOG_LINES);
  }

  /** It is not used any more. */
  [Symbol.dispose](): void {
    this.reset();
    this.#watcher[Symbol.dispose]();
    this.#host.vector[Symbol.dispose]();
    this.#guest[Symbol.dispose]();
  }

  /**
   * A queue runs that did not before. One that stands at its beginning belongs to a driver that begins; one that does
   * not, before we have seen anything, to one that has connections with a predecessor of ours, or of its own before it
   * was saved.
   */
  #begin(queue: Virtqueue): void {
    if (queue.index !== EVENT) {
      if (queue.base === 0 && this.#isCurrent && queue.index === RECEIVE) this.reset();
      if (queue.base !== 0 && !this.#isCurrent) this.#isResetDue = true;
      if (queue.index !== RECEIVE) this.#isCurrent = true;
    }
    this.#seen[queue.index] = queue;
    if (this.#isResetDue) this.#goesOn = true;
  }

  #announceReset(queue: Virtqueue): void {
    if (!this.#isResetDue) return;
    const chain = this.#chain;
    while (queue.next(chain)) {
      const fits = chain.writableBytes >= VsockEvent.size;
      if (fits) writeHead(this.#window.view, chain, this.#event, VsockEvent.size);
      queue.complete(chain, fits ? VsockEvent.size : 0);
      if (!fits) continue;
      this.#isResetDue = false;
      return;
    }
  }

  // ---- From the host to the guest

  /** Lets everybody who has something tell it, in turns, while the guest has buffers. */
  #deliver(queue: Virtqueue): void {
    const turns = this.#turns;
    const guest = this.#guest;
    const wasFull = this.#refusals.isFull;
    guest.use(queue);
    this.#isStarved = !this.#refusals.deliver(guest);
    for (let first = turns.first; first !== undefined && !this.#isStarved; first = turns.first) {
      const outcome = first.deliver(guest);
      if (outcome === Turn.NoBuffer) {
        this.#isStarved = true;
        break;
      }
      turns.next();
      if (outcome === Turn.More) turns.add(first);
    }
    guest.use(undefined);
    if (wasFull && !this.#refusals.isFull) this.#goesOn = true;
  }

  #accept(): void {
    const { listener } = this.#options;
    for (let i = 0; i < ACCEPTED_AT_ONCE; i++) {
      if (this.#live.size >= this.#most && !this.#makeRoom()) return;
      let socket: Owned<Fd> | undefined;
      try {
        socket = acceptUnix(listener);
      } catch (error) {
        if (!(error instanceof OsError)) throw error;
        this.#log(error.message);
      }
      if (socket === undefined) {
        this.#mayAccept = false;
        return;
      }
      const connection = this.#add("greeting");
      connection.accepted(socket);
      socket[Symbol.dispose]();
    }
    this.#goesOn = true;
  }

  /** Whoever has connected and not said for what goes first. */
  #makeRoom(): boolean {
    for (const connection of this.#live) {
      if (!connection.isUngreeted) continue;
      connection.drop();
      return true;
    }
    return false;
  }

  #add(begins: "greeting" | "asking"): Connection {
    const connection = new Connection(this.#host, this.#room.take(), begins);
    this.#live.add(connection);
    return connection;
  }

  #newHostPort(): number {
    do {
      this.#lastHostPort = this.#lastHostPort === LAST_HOST_PORT
        ? FIRST_HOST_PORT
        : this.#lastHostPort + 1;
    } while (this.#table.hasHostPort(this.#lastHostPort));
    return this.#lastHostPort;
  }

  // ---- From the guest to the host

  #take(queue: Virtqueue): void {
    const chain = this.#chain;
    const packet = this.#packet;
    while (!this.#refusals.isFull && queue.next(chain)) {
      if (!packet.read(this.#window.view, chain)) {
        queue.break("request");
        break;
      }
      this.#serve(packet, chain);
      queue.complete(chain, 0);
    }
    const waits = this.#turns.first !== undefined || !this.#refusals.isEmpty;
    if (waits && !this.#isStarved) this.#goesOn = true;
  }

  #serve(packet: Packet, chain: DescriptorChain): void {
    const { sourceCid, destinationCid, sourcePort, destinationPort, type, operation } = packet;
    if (sourceCid !== this.#options.cid) {
      return this.#log(`the guest sends as context ${sourceCid}, which it is not`);
    }
    if (destinationCid !== VSOCK_HOST_CID || type !== VsockType.Stream) {
      return this.#refuse(packet);
    }
    const connection = this.#table.find(sourcePort, destinationPort);
    if (connection !== undefined) connection.take(packet, chain);
    else if (operation === VsockOperation.Request) this.#request(packet);
    else this.#refuse(packet);
  }

  #request(packet: Packet): void {
    if (this.#live.size >= this.#most && !this.#makeRoom()) {
      this.#log(`there are ${this.#most} connections, and no more`);
      return this.#refuse(packet);
    }
    const connection = this.#add("asking");
    connection.asked(packet);
    this.#table.add(connection);
    this.#options.connect(packet.destinationPort, (socket) => {
      connection.connected(socket);
      socket?.[Symbol.dispose]();
    });
  }

  /** It belongs to no connection; RST is not answered. */
  #refuse(packet: Packet): void {
    if (packet.operation !== VsockOperation.Reset) this.#refusals.add(packet);
  }
}
