import {
  connectUnix,
  type Fd,
  listenUnix,
  MessageFlags,
  type Owned,
  receiveMessage,
  sendMessage,
  shutdownWrite,
  socketPair,
} from "../../../src/os/mod.ts";
import {
  Feature,
  VSOCK_HOST_CID,
  VsockConfig,
  VsockFeature,
  VsockHeader,
  VsockOperation,
  VsockShutdown,
  VsockType,
} from "../../../src/virtio/mod.ts";
import type { DrivenDevice } from "./driven_device.ts";
import { hears, says } from "./host_end.ts";
import { below, count, type Load, stamped, until } from "./load.ts";

const RECEIVE = 0;
const TRANSMIT = 1;
const CID = 77;
const BUFFERS = 48;
const BUFFER = 8192;
const ROOM = 2 ** 20;
const PIECE = 16_000;
const DATA = 150_000;
const AT_ONCE = 6;
const { Request, Response, Reset, Shutdown, ReadWrite, CreditUpdate } = VsockOperation;

type Header = ReturnType<typeof VsockHeader.decode>;

/** A connection as the guest sees it. */
class GuestEnd {
  operations: number[] = [];
  data: Uint8Array[] = [];
  received = 0;
  sent = 0;
  /** What the device has room for, and has passed on. */
  room = 0;
  forwarded = 0;

  constructor(readonly guestPort: number, readonly hostPort: number) {}

  has(operation: number): boolean {
    return this.operations.includes(operation);
  }
}

/** A guest and programs of its host that open connections both ways, and close them in every way there is. */
export class VsockLoad implements Load {
  readonly features = Feature.Version1 | Feature.IndirectDesc | VsockFeature.Stream;
  readonly configSize = VsockConfig.size;
  readonly queues = 3;
  readonly counts = {};
  readonly #path: string;
  readonly #listener: Owned<Fd>;
  readonly #ends = new Map<string, GuestEnd>();
  /** Connections of programs of the host that the guest has not answered. */
  readonly #wished: GuestEnd[] = [];
  /** Ends of the host, by the port that the guest has asked for. */
  readonly #reached = new Map<number, Owned<Fd>>();
  #device: DrivenDevice | undefined;
  #port = 1000;
  readonly services = { connectPort: (port: number): Owned<Fd> => this.#reach(port) };

  constructor(folder: string) {
    this.#path = `${folder}/vsock.sock`;
    this.#listener = listenUnix(this.#path);
  }

  device() {
    return { kind: "vsock", cid: CID, listener: this.#listener.borrow() } as const;
  }

  #reach(port: number): Owned<Fd> {
    const [ours, theirs] = socketPair();
    this.#reached.set(port, ours);
    return theirs;
  }

  begin(device: DrivenDevice): void {
    this.#device = device;
    this.#ends.clear();
    this.#wished.splice(0);
    for (const fd of this.#reached.values()) fd[Symbol.dispose]();
    this.#reached.clear();
    device.queues[RECEIVE].receive(BUFFERS, BUFFER, (packet) => this.#took(packet));
  }

  #took(packet: Uint8Array): void {
    const { sourcePort, destinationPort, operation, bufferSize, forwarded } = VsockHeader.decode(
      packet,
    );
    const key = `${destinationPort} ${sourcePort}`;
    let end = this.#ends.get(key);
    if (end === undefined) {
      if (operation !== Request) return;
      end = new GuestEnd(destinationPort, sourcePort);
      this.#ends.set(key, end);
      this.#wished.push(end);
    }
    Object.assign(end, { room: bufferSize, forwarded });
    if (operation === ReadWrite) {
      const data = packet.slice(VsockHeader.size);
      end.data.push(data);
      end.received += data.length;
    }
    end.operations.push(operation);
  }

  #send(end: GuestEnd, operation: number, more: Partial<Header> = {}, data?: Uint8Array): void {
    const queue = this.#device?.queues[TRANSMIT];
    if (queue === undefined) return;
    const header = VsockHeader.encode({
      sourceCid: CID,
      destinationCid: VSOCK_HOST_CID,
      sourcePort: end.guestPort,
      destinationPort: end.hostPort,
      length: data?.length ?? 0,
      type: VsockType.Stream,
      operation,
      flags: 0,
      bufferSize: ROOM,
      forwarded: end.received,
      ...more,
    });
    if (queue.underWay === 0) queue.driver.freePlaces();
    void queue.request(data === undefined ? [header] : [header, data]);
    queue.kick();
  }

  async round(): Promise<void> {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => this.#connection(i % 2 === 0)));
    count(this, "opened and closed", AT_ONCE);
  }

  async #connection(isGuests: boolean): Promise<void> {
    const [end, host] = isGuests ? await this.#fromGuest() : await this.#fromHost();
    try {
      const text = stamped(end.guestPort, 1 + below(DATA));
      await Promise.all([this.#guestWrites(end, text), hears(host, text)]);
      count(this, "bytes", text.length);
      await Promise.all([says(host, text), this.#guestReads(end, text)]);
      await this.#close(end, host);
    } finally {
      this.#ends.delete(`${end.guestPort} ${end.hostPort}`);
      host[Symbol.dispose]();
    }
  }

  async #fromGuest(): Promise<[GuestEnd, Owned<Fd>]> {
    const port = ++this.#port;
    const end = new GuestEnd(port, port);
    this.#ends.set(`${port} ${port}`, end);
    this.#send(end, Request);
    await until(() => end.has(Response));
    const host = this.#reached.get(port);
    if (host === undefined) throw new Error("Nobody was reached");
    this.#reached.delete(port);
    return [end, host];
  }

  async #fromHost(): Promise<[GuestEnd, Owned<Fd>]> {
    const port = ++this.#port;
    const host = connectUnix(this.#path);
    sendMessage(host, new TextEncoder().encode(`CONNECT ${port}\n`));
    let end: GuestEnd | undefined;
    await until(() => {
      const at = this.#wished.findIndex(({ guestPort }) => guestPort === port);
      if (at >= 0) [end] = this.#wished.splice(at, 1);
      return end !== undefined;
    });
    if (end === undefined) throw new Error("It did not come about");
    this.#send(end, Response);
    const wanted = new TextEncoder().encode(`OK ${end.hostPort}\n`);
    await hears(host, wanted);
    return [end, host];
  }

  async #guestWrites(end: GuestEnd, text: Uint8Array): Promise<void> {
    for (let at = 0; at < text.length;) {
      const length = Math.min(PIECE, text.length - at);
      await until(() =>
        end.room - (end.sent - end.forwarded) >= length &&
        (this.#device?.queues[TRANSMIT].underWay ?? 0) < 8
      );
      end.sent += length;
      this.#send(end, ReadWrite, {}, text.subarray(at, at + length));
      at += length;
    }
  }

  async #guestReads(end: GuestEnd, text: Uint8Array): Promise<void> {
    for (let at = 0, told = 0; at < text.length;) {
      await until(() => end.data.length > 0);
      for (const data of end.data.splice(0)) {
        if (data.some((byte, i) => byte !== text[at + i])) throw new Error("Other data came");
        at += data.length;
      }
      if (at - told > ROOM / 4) this.#send(end, CreditUpdate), told = at;
    }
    count(this, "bytes", text.length);
  }

  async #close(end: GuestEnd, host: Owned<Fd>): Promise<void> {
    switch (below(5)) {
      case 0:
        // What is written last is still to arrive.
        this.#send(end, ReadWrite, {}, stamped(1, 1000));
        this.#send(end, Shutdown, { flags: VsockShutdown.Both });
        await until(() => end.has(Reset));
        return;
      case 1:
        this.#send(end, Shutdown, { flags: VsockShutdown.Send });
        await until(() =>
          receiveMessage(host, new Uint8Array(1), 0, MessageFlags.DontWait).length === 0
        );
        this.#send(end, Shutdown, { flags: VsockShutdown.Receive });
        await until(() => end.has(Reset));
        return;
      case 2:
        shutdownWrite(host);
        await until(() => end.has(Shutdown));
        this.#send(end, Reset);
        return;
      case 3:
        host.close();
        await until(() => end.has(Shutdown));
        this.#send(end, Shutdown, { flags: VsockShutdown.Both });
        await until(() => end.has(Reset));
        return;
      default:
        this.#send(end, Shutdown, { flags: VsockShutdown.Receive });
        this.#send(end, Reset);
    }
  }

  /** Connections in the middle of their lives, from both sides. */
  leave(): void {
    const port = ++this.#port;
    const end = new GuestEnd(port, port);
    this.#send(end, Request);
    using host = connectUnix(this.#path);
    sendMessage(host, new TextEncoder().encode(`CONNECT ${port}\n`));
  }

  [Symbol.dispose](): void {
    for (const fd of this.#reached.values()) fd[Symbol.dispose]();
    this.#listener[Symbol.dispose]();
  }
}
