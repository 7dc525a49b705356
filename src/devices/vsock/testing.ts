/** For tests: the driver side of a socket device, and programs of the host around it. */

import assert from "node:assert/strict";
import {
  connectUnix,
  type Fd,
  listenUnix,
  MessageFlags,
  type Owned,
  receiveMessage,
  sendMessage,
  socketPair,
} from "../../os/mod.ts";
import {
  type MockDriver,
  type MockPlace,
  VSOCK_HOST_CID,
  VsockHeader,
  VsockOperation,
  VsockType,
} from "../../virtio/mod.ts";
import { DeviceBench, window } from "../testing.ts";
import { VsockDevice, type VsockOptions } from "./mod.ts";

export const CID = 77;
const QUEUE_SIZE = 64;
const BUFFERS = 32;
const BUFFER = 4096;
/** Guest memory: each queue has its own part of 4 MiB, and so has each buffer. */
const RECEIVE_AT = 0;
const BUFFERS_AT = 2 ** 17;
const EVENT_AT = 2 ** 19;
const SEND_AT = 2 ** 20;
const SLOT = 8192;

type Header = ReturnType<typeof VsockHeader.decode>;

/** A packet of the device. */
export interface GuestPacket extends Header {
  readonly data: Uint8Array;
}

/** Ports of both sides. */
export interface Ports {
  readonly guestPort: number;
  readonly hostPort: number;
}

/** A guest with the device, and a host where ports from 1000 on are answered, or as {@link Guest.answers} says. */
export class Guest implements Disposable {
  readonly device: VsockDevice;
  readonly bench: DeviceBench;
  readonly log: string[] = [];
  /** What the guest's connections reached, the latest last. */
  readonly reached: Owned<Fd>[] = [];
  /** Wishes for connections that nobody has answered, when that is not done at once. */
  readonly wishes: { port: number; answer: (socket: Owned<Fd> | undefined) => void }[] = [];
  answers: "at once" | "later" = "at once";
  /** What the guest announces as its buffer. */
  bufferSize = 2 ** 18;
  receive: MockDriver;
  send: MockDriver;
  event: MockDriver;
  readonly #folder = Deno.makeTempDirSync({ prefix: "spectrum-vsock-" });
  readonly #listener: Owned<Fd>;
  /** Places of buffers: free ones, and those of the device by their heads. */
  #freeSlots: number[] = [];
  readonly #offered = new Map<number, { slot: number; shape: readonly MockPlace[] }>();
  /** Index of the send queue's used ring when all is taken. */
  #sent = 0;

  constructor(options: Partial<VsockOptions> & { base?: number; buffers?: number } = {}) {
    const { base = 0, buffers = BUFFERS, ...rest } = options;
    this.#listener = listenUnix(`${this.#folder}/socket`);
    this.device = new VsockDevice(window, {
      cid: CID,
      listener: this.#listener,
      connect: (port, answer) => {
        if (this.answers === "later") this.wishes.push({ port, answer });
        else answer(this.reach(port));
      },
      log: (text) => this.log.push(text),
      ...rest,
    });
    this.bench = new DeviceBench(this.device);
    [this.receive, this.send, this.event] = this.boot(base, buffers);
  }

  /** A driver begins; or goes on, when its rings do not stand at their beginning. */
  boot(base = 0, buffers = BUFFERS): [MockDriver, MockDriver, MockDriver] {
    this.device.settle?.();
    this.#offered.clear();
    this.#freeSlots = Array.from({ length: BUFFERS }, (_, i) => BUFFERS - 1 - i);
    this.#sent = base;
    this.receive = this.bench.driver(0, RECEIVE_AT, QUEUE_SIZE, {}, base);
    this.send = this.bench.driver(1, SEND_AT, QUEUE_SIZE, {}, base);
    this.event = this.bench.driver(2, EVENT_AT, 8);
    for (let i = 0; i < buffers; i++) this.offer();
    this.event.add([8]);
    return [this.receive, this.send, this.event];
  }

  /** Gives the device a buffer, of the usual shape unless said otherwise. */
  offer(pieces: readonly number[] = [VsockHeader.size, BUFFER]): number {
    const slot = this.#freeSlots.pop();
    assert.ok(slot !== undefined);
    let address = BUFFERS_AT + slot * SLOT;
    const shape = pieces.map((length) => {
      const place = { address, length, writable: true };
      address += length;
      return place;
    });
    const { head } = this.receive.add(shape);
    this.#offered.set(head, { slot, shape });
    return head;
  }

  /** A port of the host is reached: its end, and ours is in {@link reached}. */
  reach(port: number): Owned<Fd> | undefined {
    if (port < 1000) return undefined;
    const [ours, theirs] = socketPair();
    this.reached.push(theirs);
    return ours;
  }

  /** A program of the host connects. */
  connect(greeting?: string): Owned<Fd> {
    const socket = connectUnix(`${this.#folder}/socket`);
    if (greeting !== undefined) write(socket, greeting);
    return socket;
  }

  /** Sends a packet. */
  packet(operation: number, ports: Ports, more: Partial<Header> = {}, data?: Uint8Array): void {
    const header = VsockHeader.encode({
      sourceCid: CID,
      destinationCid: VSOCK_HOST_CID,
      sourcePort: ports.guestPort,
      destinationPort: ports.hostPort,
      length: data?.length ?? 0,
      type: VsockType.Stream,
      operation,
      flags: 0,
      bufferSize: this.bufferSize,
      forwarded: 0,
      ...more,
    });
    if (this.send.usedIndex !== this.#sent) assert.fail("the device has not taken the last packet");
    this.send.takeUsed();
    this.send.freePlaces();
    this.send.add(data === undefined ? [header] : [header, data]);
    this.#sent = (this.#sent + 1) & 0xffff;
    this.turn();
  }

  /** Lets the device work. */
  turn(): void {
    this.bench.round();
    this.bench.listen();
    this.bench.round();
  }

  /** What the device has sent; its buffers are offered again, unless that is to wait. */
  packets(again = true): GuestPacket[] {
    this.turn();
    const packets = this.receive.takeUsed().map(({ head, written }) => this.#packet(head, written));
    if (again) { while (this.#freeSlots.length > 0) this.offer(); }
    return packets;
  }

  #packet(head: number, written: number): GuestPacket {
    const offered = this.#offered.get(head);
    assert.ok(offered !== undefined);
    this.#offered.delete(head);
    this.#freeSlots.push(offered.slot);
    const at = offered.shape[0].address;
    const bytes = this.receive.bytes.slice(at, at + written);
    const header = VsockHeader.decode(bytes);
    assert.equal(header.length, written - VsockHeader.size);
    return { ...header, data: bytes.slice(VsockHeader.size) };
  }

  /** Opens a connection of the guest to a port of the host. Answers the host's end of it. */
  open(ports: Ports): Owned<Fd> {
    this.packet(VsockOperation.Request, ports);
    const [response] = this.packets();
    assert.equal(response?.operation, VsockOperation.Response);
    const host = this.reached.at(-1);
    assert.ok(host !== undefined);
    return host;
  }

  [Symbol.dispose](): void {
    this.bench[Symbol.dispose]();
    this.device[Symbol.dispose]();
    for (const fd of this.reached) fd[Symbol.dispose]();
    this.#listener[Symbol.dispose]();
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

/** Writes text to a program's end of a connection. */
export function write(socket: Fd, text: string): void {
  const bytes = new TextEncoder().encode(text);
  assert.equal(sendMessage(socket, bytes), bytes.length);
}

/** What has arrived at a program's end: text, "end", or the negative error number. */
export function read(socket: Fd): string | number {
  const buffer = new Uint8Array(2 ** 20);
  const { length } = receiveMessage(socket, buffer, 0, MessageFlags.DontWait);
  if (length === 0) return "end";
  return length < 0 ? length : new TextDecoder().decode(buffer.subarray(0, length));
}
