import type { Virtqueue } from "../../virtio/mod.ts";
import type { Watcher } from "../watcher.ts";
import type { ReceiveBuffers } from "./receive_buffers.ts";

/** Descriptors that make no end of a network device, and why. */
export class NetEndError extends Error {
  override readonly name = "NetEndError";
}

/** What a network device is connected with: the way out of a machine. */
export interface NetEnd extends Disposable {
  readonly kind: "tap" | "stream";
  /** What it can do of the features of the device, beside what every end can. */
  readonly features: bigint;
  /** Nobody is there any more, and nobody will be: the link is down. */
  readonly isGone: boolean;

  /** Begins to wait for what happens to its descriptors, until it is disposed of. */
  watch(watcher: Watcher): void;

  /** Whether packets may come for this pair of queues. */
  enable(pair: number, enabled: boolean): void;
  /** The {@link NetFeature}s of the guest's side that packets for it may make use of now. */
  setOffloads(offloads: bigint): void;

  /** Moves what has come into the buffers of a receive queue, as long as there are both. */
  receive(pair: number, queue: Virtqueue, buffers: ReceiveBuffers): void;
  /** Takes packets from a transmit queue, as long as they can leave. */
  send(pair: number, queue: Virtqueue): void;
  /** Completes or puts back what it has taken from transmit queues. */
  settle(): void;
}
