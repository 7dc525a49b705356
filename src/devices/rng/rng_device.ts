import { getrandom } from "../../os/mod.ts";
import { DescriptorChain, DeviceId, type VirtioDevice, type Virtqueue } from "../../virtio/mod.ts";

/** A request gets at most so many bytes: none keeps this thread busy for long. */
const MOST = 65536;

/**
 * Entropy device (virtio 1.2 §5.4): fills what the driver offers with random bytes of this host.
 *
 * @example
 * ```ts
 * import { DeviceLoop, listenUnix, Window } from "spectrum";
 *
 * // Serves random numbers at a socket, to one frontend after the other.
 * function serveRng(socket: string): void {
 *   const window = Window.reserve();
 *   using loop = new DeviceLoop(new RngDevice(), { window, log: console.error });
 *   using listening = listenUnix(socket);
 *   loop.serveEach(listening);
 * }
 * ```
 */
export class RngDevice implements VirtioDevice {
  readonly id = DeviceId.Rng;
  readonly features = 0n;
  readonly queueCount = 1;
  readonly config = new Uint8Array(0);
  readonly #chain = new DescriptorChain(64);

  process(queue: Virtqueue): void {
    const chain = this.#chain;
    while (queue.next(chain)) queue.complete(chain, fill(chain));
  }
}

function fill(chain: DescriptorChain): number {
  let written = 0;
  for (let i = chain.readableCount; i < chain.count && written < MOST; i++) {
    const length = Math.min(chain.lengths[i], MOST - written);
    const got = getrandom(chain.offsets[i], length);
    if (got > 0) written += got;
    if (got < length) break;
  }
  return written;
}
