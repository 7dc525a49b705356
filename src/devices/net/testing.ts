/** For tests: a network device with its driver's queues, on a stream whose other end the test holds. */

import {
  type Fd,
  MessageFlags,
  type Owned,
  receiveMessage,
  sendMessage,
  setNonBlocking,
  socketPair,
} from "../../os/mod.ts";
import { Feature, type MockDriver, NetHeader, type VirtqueueOptions } from "../../virtio/mod.ts";
import { DeviceBench, window } from "../testing.ts";
import { NetDevice, type NetOptions, StreamEnd } from "./mod.ts";

/** Bytes of the longest frame, with its length. */
const MOST = 4 + 65535;

/** A frame of so many bytes: addresses, a type, and a pattern. */
export function frame(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 14; i < length; i++) bytes[i] = (i * 31 + seed * 7) & 0xff;
  bytes.set([0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, seed & 0xff, 0x08, 0x00]);
  return bytes;
}

/** A frame behind its length, as it is on the stream. */
export function onStream(bytes: Uint8Array): Uint8Array {
  const message = new Uint8Array(4 + bytes.length);
  new DataView(message.buffer).setUint32(0, bytes.length);
  message.set(bytes, 4);
  return message;
}

/** A packet as a driver sends it. */
export function packet(
  bytes: Uint8Array,
  header: Parameters<typeof NetHeader.encode>[0] = {},
): Uint8Array {
  const whole = new Uint8Array(NetHeader.size + bytes.length);
  whole.set(NetHeader.encode(header));
  whole.set(bytes, NetHeader.size);
  return whole;
}

/** The Internet checksum over some bytes, two at a time. */
export function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] << 8) + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Reads frames from the other end of a stream, in whatever pieces they come. */
export class StreamPeer implements Disposable {
  #rest = new Uint8Array(0);

  constructor(readonly fd: Owned<Fd>) {
    setNonBlocking(fd, true);
  }

  send(...frames: readonly Uint8Array[]): void {
    for (const bytes of frames) this.sendRaw(onStream(bytes));
  }

  /** Sends as much as the stream takes; a negative error number when that is nothing. */
  sendSome(bytes: Uint8Array): number {
    return this.fd.closed ? 0 : sendMessage(this.fd, bytes);
  }

  sendRaw(bytes: Uint8Array): void {
    const sent = this.sendSome(bytes);
    if (sent !== bytes.length) throw new Error(`The stream took ${sent} of ${bytes.length} bytes`);
  }

  /** All bytes that are there, behind what was left. */
  receiveSome(most = 2 ** 20): number {
    if (this.fd.closed) return 0;
    const buffer = new Uint8Array(most);
    const { length } = receiveMessage(this.fd, buffer, 0, MessageFlags.DontWait);
    if (length <= 0) return length;
    const joined = new Uint8Array(this.#rest.length + length);
    joined.set(this.#rest);
    joined.set(buffer.subarray(0, length), this.#rest.length);
    this.#rest = joined;
    return length;
  }

  /** The whole frames that have come. */
  frames(): Uint8Array[] {
    while (this.receiveSome() > 0);
    const found: Uint8Array[] = [];
    for (;;) {
      const view = new DataView(this.#rest.buffer, this.#rest.byteOffset, this.#rest.byteLength);
      if (view.byteLength < 4) return found;
      const end = 4 + view.getUint32(0);
      if (end > MOST) throw new Error(`What says to be a frame has ${end - 4} bytes`);
      if (view.byteLength < end) return found;
      found.push(this.#rest.slice(4, end));
      this.#rest = this.#rest.subarray(end);
    }
  }

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }
}

/** A device on a stream, and the driver of its first pair and its control queue. */
export class NetScene implements Disposable {
  readonly log: string[] = [];
  readonly device: NetDevice;
  readonly bench: DeviceBench;
  readonly peer: StreamPeer;
  readonly receive: MockDriver;
  readonly transmit: MockDriver;
  readonly control: MockDriver;

  constructor(
    options: Partial<NetOptions> & {
      readonly refused?: bigint;
      readonly size?: number;
      readonly queue?: Partial<VirtqueueOptions>;
    } = {},
  ) {
    const { refused = 0n, size = 256, queue } = options;
    const [ours, theirs] = socketPair();
    this.peer = new StreamPeer(theirs);
    this.device = new NetDevice(window, {
      mac: "52:54:00:12:34:56",
      ...options,
      end: options.end ?? new StreamEnd(window, ours, (text) => this.log.push(text)),
    });
    if (options.end !== undefined) ours[Symbol.dispose]();
    this.device.start((this.device.features | Feature.Version1) & ~refused);
    this.bench = new DeviceBench(this.device);
    this.receive = this.bench.driver(0, 0, size, queue);
    this.transmit = this.bench.driver(1, 2 ** 21, size, queue);
    const { pairs = 1 } = options;
    this.control = this.bench.driver(2 * pairs, 2 ** 21 + 2 ** 20, 16, queue);
  }

  /** Rounds and events until nothing happens. */
  run(): void {
    for (let i = 0; i < 3; i++) {
      this.bench.round();
      this.bench.listen();
    }
    this.bench.round();
  }

  [Symbol.dispose](): void {
    this.bench[Symbol.dispose]();
    this.device[Symbol.dispose]();
    this.peer[Symbol.dispose]();
  }
}
