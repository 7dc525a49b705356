import type { DrivenDevice } from "./driven_device.ts";
import { Feature } from "../../../src/virtio/mod.ts";
import { below, count, type Load } from "./load.ts";

const ROUNDS = 20;
const REQUESTS = 16;
const MOST = 70_000;

/** A guest that takes random numbers as fast as they come. */
export class RngLoad implements Load {
  readonly features = Feature.Version1 | Feature.IndirectDesc;
  readonly configSize = 0;
  readonly queues = 1;
  readonly counts = {};

  device() {
    return { kind: "rng" } as const;
  }

  async round(device: DrivenDevice): Promise<void> {
    for (let i = 0; i < ROUNDS; i++) await this.#some(device);
  }

  async #some({ queues: [queue] }: DrivenDevice): Promise<void> {
    queue.driver.freePlaces();
    const all = Array.from(
      { length: REQUESTS },
      () => queue.request([1 + below(MOST), 64], below(2) === 0),
    );
    queue.kick();
    for (const { written, data: [first] } of await Promise.all(all)) {
      // A signal may cut it short.
      const length = Math.min(first.length, written);
      if (written === 0 || length > 32 && first.subarray(0, length).every((byte) => byte === 0)) {
        throw new Error(`${written} random bytes, or none`);
      }
      count(this, "bytes", written);
    }
    count(this, "requests", REQUESTS);
  }

  leave({ queues: [queue] }: DrivenDevice): void {
    queue.driver.freePlaces();
    for (let i = 0; i < REQUESTS; i++) void queue.request([MOST]);
    queue.kick();
  }

  [Symbol.dispose](): void {}
}
