import type { DescriptorChain, QueueGate, Virtqueue } from "../../virtio/mod.ts";
import { type Limit, Limiter, type LimiterOptions, type Throttled } from "../limiter.ts";

/** Holds the packets of a network device to a rate in each direction; those that wait stay where they are. */
export class RateGates {
  readonly #limiters: readonly [sends: Limiter, receives: Limiter];
  /** Of transmit and of receive queues. */
  readonly send: QueueGate;
  readonly receive: QueueGate;

  constructor(limit: Limit, { report = () => {}, now }: LimiterOptions) {
    const options = { now, report: () => report(this.#throttled) };
    const [sends, receives] = this.#limiters = [
      new Limiter(limit, options),
      new Limiter(limit, options),
    ];
    this.send = {
      lets: (queue: Virtqueue) => sends.lets(queue),
      taken: (chain: DescriptorChain) => sends.passed(chain.readableBytes),
      putBack: (chain: DescriptorChain) => sends.tookBack(chain.readableBytes),
      used() {},
    };
    this.receive = {
      lets: (queue: Virtqueue) => receives.lets(queue),
      taken() {},
      putBack() {},
      used: (written: number) => receives.passed(written),
    };
  }

  /** As {@linkcode Limiter.delay}. */
  get delay(): number {
    const [sends, receives] = this.#limiters.map((limiter) => limiter.delay);
    return sends < 0 ? receives : receives < 0 ? sends : Math.min(sends, receives);
  }

  get #throttled(): Throttled {
    const [sends, receives] = this.#limiters.map((limiter) => limiter.throttled);
    return {
      times: sends.times + receives.times,
      milliseconds: sends.milliseconds + receives.milliseconds,
    };
  }

  /** Queues stop. */
  forget(): void {
    for (const limiter of this.#limiters) limiter.forget();
  }
}
