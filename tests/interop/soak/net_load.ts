import {
  Feature,
  NetAck,
  NetConfig,
  NetControl,
  NetFeature,
  NetHeader,
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
        this.#received.push(packet.subarray(NetHeader.size));
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
      for (const frame of this.#received.splice(0)) {
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
  async #control({ queues }: DrivenDevice): Promise<void> {
    const queue = queues[queues.length - 1];
    const { Mq, GuestOffloads } = NetControl;
    const offloads = new Uint8Array(8);
    const commands = [
      [GuestOffloads.class, GuestOffloads.Set, ...offloads],
      ...(this.#peer.pairs === 1
        ? []
        : [[Mq.class, Mq.PairsSet, 1, 0], [Mq.class, Mq.PairsSet, 2, 0]]),
    ];
    for (const command of commands) {
      queue.driver.freePlaces();
      const asked = queue.request([new Uint8Array(command), 1]);
      queue.kick();
      const { data: [[ack]] } = await asked;
      if (ack !== NetAck.Ok) {
        // A stream knows no offloads.
        if (command[0] !== GuestOffloads.class || this.#peer.pairs > 1) {
          throw new Error(`The command ${command} is refused`);
        }
      }
      count(this, "commands");
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
