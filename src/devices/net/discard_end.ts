import { DescriptorChain, type Virtqueue } from "../../virtio/mod.ts";
import type { NetEnd } from "./net_end.ts";

/** No end: what is sent is lost, as with a cable that is not plugged in, and nothing comes. */
export class DiscardEnd implements NetEnd {
  readonly features = 0n;
  readonly isGone = false;
  readonly #chain = new DescriptorChain(256);

  /** @param kind of the end whose place it takes */
  constructor(readonly kind: NetEnd["kind"]) {}

  watch(): void {}
  enable(): void {}
  setOffloads(): void {}
  receive(): void {}
  settle(): void {}

  send(_pair: number, queue: Virtqueue): void {
    while (queue.next(this.#chain)) queue.complete(this.#chain, 0);
  }

  [Symbol.dispose](): void {}
}
