import { VsockOperation } from "../../virtio/mod.ts";
import type { GuestQueue, Route } from "./guest_queue.ts";
import type { Packet } from "./packet.ts";

/** So many packets are refused before the guest has to hear of it. */
const MOST = 64;

class Refusal implements Route {
  guestPort = 0;
  hostPort = 0;
  readonly room = 0;
  readonly forwarded = 0;
  cid = 0;
  type = 0;
}

/** Packets that belong to no connection, each to be answered by RST. A guest that does not take that sends no more. */
export class Refusals {
  readonly #ring = Array.from({ length: MOST }, () => new Refusal());
  #first = 0;
  #count = 0;

  get isFull(): boolean {
    return this.#count === MOST;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** There must be room for it. */
  add(packet: Packet): void {
    const refusal = this.#ring[(this.#first + this.#count++) % MOST];
    refusal.guestPort = packet.sourcePort;
    refusal.hostPort = packet.destinationPort;
    refusal.cid = packet.destinationCid;
    refusal.type = packet.type;
  }

  /** False when there are not enough buffers. */
  deliver(queue: GuestQueue): boolean {
    while (this.#count > 0) {
      const refusal = this.#ring[this.#first];
      const { cid, type } = refusal;
      if (!queue.sendFrom(cid, type, refusal, VsockOperation.Reset, 0)) return false;
      this.#first = (this.#first + 1) % MOST;
      this.#count--;
    }
    return true;
  }

  clear(): void {
    this.#count = 0;
  }
}
