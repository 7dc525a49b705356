import type { Window } from "../../os/mod.ts";
import {
  DeviceId,
  type DeviceSource,
  Feature,
  NetConfig,
  NetFeature,
  NetMtu,
  NetStatus,
  type VirtioDevice,
  type Virtqueue,
} from "../../virtio/mod.ts";
import type { Limit, Throttled } from "../limiter.ts";
import { Watcher } from "../watcher.ts";
import { DiscardEnd } from "./discard_end.ts";
import { parseMac } from "./mac.ts";
import { NetControlQueue } from "./net_control.ts";
import { type NetEnd, NetEndError } from "./net_end.ts";
import { RateGates } from "./rate_gates.ts";
import { ReceiveBuffers } from "./receive_buffers.ts";

/** What a network device is made of. */
export interface NetOptions {
  /** Where its packets go; moves in here. */
  readonly end: NetEnd;
  /** `02:00:00:12:34:56` */
  readonly mac: string;
  /** What the driver is told; nothing when left out. */
  readonly mtu?: number;
  /** Of a receive and a transmit queue; 1 when left out. */
  readonly pairs?: number;
  /** The rate that its packets may have, each way. */
  readonly limit?: Limit;
  /** The limit's clock, in milliseconds; that of the process when left out. */
  readonly now?: () => number;
  /** Told what the limit holds back. */
  readonly onThrottled?: (throttled: Throttled) => void;
}

const MAX_PAIRS = 8;
const COMMON = NetFeature.Mac | NetFeature.Status | NetFeature.MrgRxbuf | NetFeature.CtrlVq |
  NetFeature.CtrlRx | NetFeature.CtrlMacAddr | NetFeature.CtrlGuestOffloads;
/** What a driver can take, and may give up and want again by a command. */
const GUEST_OFFLOADS = NetFeature.GuestCsum | NetFeature.GuestTso4 | NetFeature.GuestTso6 |
  NetFeature.GuestEcn;

/**
 * Network device (virtio 1.2 §5.1). What its packets are given to, and what can be left to it, is its end's business;
 * queues, commands and the config space are here.
 */
export class NetDevice implements VirtioDevice, Disposable {
  readonly id = DeviceId.Net;
  readonly features: bigint;
  readonly queueCount: number;
  readonly config: Uint8Array;
  readonly sources: readonly DeviceSource[];
  readonly #pairs: number;
  readonly #mac: Uint8Array;
  readonly #kind: NetEnd["kind"];
  #end: NetEnd;
  readonly #buffers: readonly ReceiveBuffers[];
  readonly #control: NetControlQueue;
  readonly #gates: RateGates | undefined;
  readonly #watcher = new Watcher();
  #accepted = 0n;
  #controlIndex = -1;
  /** Pairs that the driver uses, of those whose queues run. */
  #activePairs = 0;
  readonly #running: boolean[];
  #offloads = 0n;
  #announce: (() => void) | undefined;

  /** @throws NetEndError when an option cannot be */
  constructor(window: Window, options: NetOptions) {
    const { end, mac, mtu, pairs = 1, limit, now, onThrottled: report } = options;
    if (!Number.isInteger(pairs) || pairs < 1 || pairs > MAX_PAIRS) {
      throw new NetEndError(`a network device has 1 to ${MAX_PAIRS} pairs of queues`);
    }
    if (mtu !== undefined && !(mtu >= NetMtu.least && mtu <= NetMtu.most)) {
      throw new NetEndError(`an MTU is a number of ${NetMtu.least} to ${NetMtu.most} bytes`);
    }
    const address = parseMac(mac);
    if (address === undefined) throw new NetEndError(`"${mac}" is no MAC address of a device`);
    this.#gates = limit && new RateGates(limit, { now, report });
    this.#mac = address;
    this.#pairs = pairs;
    this.#kind = end.kind;
    this.#end = end;
    this.features = COMMON | end.features |
      (mtu === undefined ? 0n : NetFeature.Mtu) | (pairs > 1 ? NetFeature.Mq : 0n);
    this.queueCount = 2 * pairs + 1;
    this.config = NetConfig.encode({
      mac: address,
      status: NetStatus.LinkUp,
      maxVirtqueuePairs: pairs,
      mtu,
    });
    this.#buffers = Array.from({ length: pairs }, () => new ReceiveBuffers(window));
    this.#running = Array<boolean>(pairs).fill(false);
    this.#control = new NetControlQueue(window, {
      setMac: (wanted) => this.#setMac(wanted),
      setPairs: (wanted) => this.#setPairs(wanted),
      setOffloads: (wanted) => this.#setOffloads(wanted),
    });
    this.sources = [{ fd: this.#watcher.fd, ready: () => this.#ready() }];
    end.watch(this.#watcher);
    this.#enablePairs();
  }

  /** Whether the driver is told that there is a link. */
  get isUp(): boolean {
    return (this.config[NetConfig.offset.status] & NetStatus.LinkUp) !== 0;
  }

  attachConfig(announce: () => void): void {
    this.#announce = announce;
  }

  start(features: bigint): void {
    this.#accepted = features;
    for (const buffers of this.#buffers) {
      buffers.isMergeable = (features & NetFeature.MrgRxbuf) !== 0n;
    }
    const hasMq = (features & NetFeature.Mq) !== 0n;
    const hasControl = (features & NetFeature.CtrlVq) !== 0n;
    this.#controlIndex = hasControl ? (hasMq ? 2 * this.#pairs : 2) : -1;
    // A frontend that keeps the control queue to itself says by running queues how many are used.
    this.#activePairs = hasControl ? 1 : this.#pairs;
    this.#offloads = features & GUEST_OFFLOADS;
    this.#end.setOffloads(this.#offloads);
    this.#enablePairs();
  }

  process(queue: Virtqueue): void {
    // Packets of older drivers have other headers.
    if ((this.#accepted & Feature.Version1) === 0n) return queue.break("request");
    const { index } = queue;
    if (index === this.#controlIndex) return this.#control.process(queue);
    const pair = index >> 1;
    if (pair >= this.#pairs) return;
    queue.gate = index % 2 === 1 ? this.#gates?.send : this.#gates?.receive;
    if (index % 2 === 1) this.#end.send(pair, queue);
    else {
      if (!this.#running[pair]) {
        this.#running[pair] = true;
        this.#enablePairs();
      }
      this.#end.receive(pair, queue, this.#buffers[pair]);
    }
    if (this.#end.isGone) this.replaceEnd(undefined);
  }

  rested(index: number): void {
    if (index % 2 === 1 || index >> 1 >= this.#pairs) return;
    this.#running[index >> 1] = false;
    this.#enablePairs();
  }

  get delay(): number {
    return this.#gates?.delay ?? -1;
  }

  settle(): void {
    this.#gates?.forget();
    this.#end.settle();
    for (const buffers of this.#buffers) buffers.settle();
  }

  reset(): void {
    this.#accepted = 0n;
    this.#controlIndex = -1;
    this.#activePairs = 0;
    this.#running.fill(false);
    this.config.set(this.#mac, NetConfig.offset.mac);
    this.#setOffloads(0n);
    this.#enablePairs();
  }

  /**
   * Goes on with another end of the same kind, which moves in here, or without one: then the link is down.
   *
   * @throws NetEndError when it is of another kind; the link is down then, too
   */
  replaceEnd(end: NetEnd | undefined): void {
    const fits = end === undefined || end.kind === this.#kind;
    this.#end.settle();
    this.#end[Symbol.dispose]();
    this.#end = end !== undefined && fits ? end : new DiscardEnd(this.#kind);
    this.#end.watch(this.#watcher);
    this.#end.setOffloads(this.#offloads);
    this.#enablePairs();
    this.#setLink(end !== undefined && fits);
    if (fits) return;
    end[Symbol.dispose]();
    throw new NetEndError(`this device has a ${this.#kind}, and no ${end.kind}`);
  }

  #setLink(isUp: boolean): void {
    if (isUp === this.isUp) return;
    this.config[NetConfig.offset.status] = isUp ? NetStatus.LinkUp : 0;
    this.#announce?.();
  }

  #ready(): void {
    this.#watcher.tell();
    if (this.#end.isGone) this.replaceEnd(undefined);
  }

  /** Packets come only for pairs that somebody reads. */
  #enablePairs(): void {
    for (let i = 0; i < this.#pairs; i++) {
      this.#end.enable(i, this.#running[i] && i < this.#activePairs);
    }
  }

  #setMac(mac: Uint8Array): boolean {
    if ((this.#accepted & NetFeature.CtrlMacAddr) === 0n) return false;
    this.config.set(mac, NetConfig.offset.mac);
    return true;
  }

  #setPairs(pairs: number): boolean {
    if ((this.#accepted & NetFeature.Mq) === 0n || pairs < 1 || pairs > this.#pairs) return false;
    this.#activePairs = pairs;
    this.#enablePairs();
    return true;
  }

  #setOffloads(offloads: bigint): boolean {
    if ((offloads & ~this.#accepted & GUEST_OFFLOADS) !== 0n) return false;
    if ((offloads & ~GUEST_OFFLOADS) !== 0n) return false;
    this.#offloads = offloads;
    this.#end.setOffloads(offloads);
    return true;
  }

  [Symbol.dispose](): void {
    this.#end[Symbol.dispose]();
    this.#watcher[Symbol.dispose]();
  }
}
