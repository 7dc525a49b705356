import {
  Feature,
  NetAck,
  NetConfig,
  NetControl,
  NetFeature,
  NetHeader,
  NetHeaderFlag,
} from "../../../src/virtio/mod.ts";
import type { DrivenDevice } from "./driven_device.ts";
import { below, count, type Load, until, type WorkerDevice } from "./load.ts";

const BUFFERS = 48;
const BUFFER = 4096;
const ROUNDS = 5;
const FRAMES = 24;

/** Who is at the other end of a network: frames that a guest sends, and what comes back for them. */
export interface NetPeer extends Disposable {
  readonly pairs: number;
  readonly mac: string;
  /** The end that the worker is handed. */
  end(): Extract<WorkerDevice, { kind: "net" }>["end"];
  /** A frame of so many bytes at most that is answered, and what is answered at each. */
  frame(
    number: number,
  ): { readonly sent: Uint8Array; readonly isAnswer: (frame: Uint8Array) => boolean };
  /** What a peer of ours has to do meanwhile. */
  turn(): void;
  /** Pairs that packets come through, where it can tell. */
  readonly pairsInUse?: number;
  /** Has the host send a frame whose checksum the kernel leaves to who can do it; `isDial` knows it. */
  dial?(): Disposable;
  isDial?(frame: Uint8Array): boolean;
  /** Goes, and is replaced by another end. */
  go(): void;
}

/** A guest that sends frames which come back. */
export class NetLoad implements Load {
  readonly features = Feature.Version1 | Feature.IndirectDesc | NetFeature.MrgRxbuf |
    NetFeature.Mac | NetFeature.Status | NetFeature.CtrlVq | NetFeature.CtrlMacAddr |
    NetFeature.Mq | NetFeature.CtrlGuestOffloads | NetFeature.GuestCsum | NetFeature.GuestTso4;
  readonly configSize = NetConfig.size;
  readonly queues: number;
  readonly counts = {};
  readonly #peer: NetPeer;
  #workers = 0;
  #number = 0;
  #received: Uint8Array[] = [];

  constructor(peer: NetPeer) {
    this.#peer = peer;
    this.queues = 2 * peer.pairs + 1;
  }

  device() {
    const isLimited = this.#workers++ % 2 === 1;
    const { mac, pairs } = this.#peer;
    return {
      ...{ kind: "net", end: this.#peer.end(), mac, pairs } as const,
      ...(isLimited ? { limit: { operations: 4000, bytes: 2 ** 24, burst: 0.05 } } : {}),
    };
  }

  /** A frame is in one buffer: they are large enough. */
  begin({ queues }: DrivenDevice): void {
    this.#received = [];
    for (let pair = 0; pair < this.#peer.pairs; pair++) {
      queues[2 * pair].receive(BUFFERS, BUFFER, (packet) => {
        this.#received.push(packet);
      });
    }
  }

  async round(device: DrivenDevice): Promise<void> {
    for (let i = 0; i < ROUNDS; i++) await this.#some(device);
    await this.#control(device);
    if (below(3) === 0) await this.#replace(device);
  }

  async #some(device: DrivenDevice): Promise<void> {
    const wanted = Array.from({ length: FRAMES }, () => this.#peer.frame(++this.#number));
    this.#received.splice(0);
    const missing = new Set(wanted);
    const sent = wanted.map(({ sent }) => {
      const queue = device.queues[2 * below(this.#peer.pairs) + 1];
      const packet = new Uint8Array(NetHeader.size + sent.length);
      packet.set(sent, NetHeader.size);
      if (queue.underWay === 0) queue.driver.freePlaces();
      const used = queue.request([packet.subarray(0, 20), packet.subarray(20)]);
      queue.kick();
      return used;
    });
    await until(() => {
      this.#peer.turn();
      for (const packet of this.#received.splice(0)) {
        const frame = packet.subarray(NetHeader.size);
        for (const each of missing) {
          if (!each.isAnswer(frame)) continue;
          missing.delete(each);
          break;
        }
      }
      return missing.size === 0;
    });
    await Promise.all(sent);
    count(this, "frames", FRAMES);
  }

  /** Commands of the control queue: how many pairs are in use, what the guest understands. */
  async #control(device: DrivenDevice): Promise<void> {
    const { Mq, GuestOffloads } = NetControl;
    for (const offloads of [NetFeature.GuestCsum, 0n]) {
      const words = new Uint8Array(new BigUint64Array([offloads]).buffer);
      await this.#command(device, GuestOffloads.class, GuestOffloads.Set, ...words);
      await this.#isDialled(offloads !== 0n);
    }
    if (this.#peer.pairs === 1) return;
    for (const pairs of [1, 2]) {
      await this.#command(device, Mq.class, Mq.PairsSet, pairs, 0);
      const { pairsInUse = pairs } = this.#peer;
      if (pairsInUse !== pairs) throw new Error(`${pairsInUse} pairs are in use, not ${pairs}`);
    }
  }

  async #command({ queues }: DrivenDevice, ...command: number[]): Promise<void> {
    const queue = queues[queues.length - 1];
    queue.driver.freePlaces();
    const asked = queue.request([new Uint8Array(command), 1]);
    queue.kick();
    const { data: [[ack]] } = await asked;
    if (ack !== NetAck.Ok) throw new Error(`The command ${command} is refused`);
    count(this, "commands");
  }

  /** A frame comes with a checksum, or without where the guest can do that. */
  async #isDialled(leavesChecksum: boolean): Promise<void> {
    this.#received.splice(0);
    using _dial = this.#peer.dial?.();
    if (_dial === undefined) return;
    let packet: Uint8Array | undefined;
    await until(() => {
      packet = this.#received.find((each) => this.#peer.isDial?.(each.subarray(NetHeader.size)));
      return packet !== undefined;
    });
    const flags = packet?.[NetHeader.offset.flags] ?? 0;
    if (((flags & NetHeaderFlag.NeedsCsum) !== 0) !== leavesChecksum) {
      throw new Error(
        `A frame comes with flags ${flags} where its checksum is left to the guest: ${leavesChecksum}`,
      );
    }
  }

  async #replace({ worker }: DrivenDevice): Promise<void> {
    this.#peer.go();
    await worker.replaceEnd(this.#peer.end());
    count(this, "ends");
  }

  leave(device: DrivenDevice): void {
    for (let i = 0; i < FRAMES; i++) {
      const { sent } = this.#peer.frame(++this.#number);
      const queue = device.queues[1];
      if (queue.underWay === 0) queue.driver.freePlaces();
      void queue.request([new Uint8Array(NetHeader.size), sent]);
      queue.kick();
    }
  }

  [Symbol.dispose](): void {
    this.#peer[Symbol.dispose]();
  }
}
