import {
  Errno,
  Events,
  type Fd,
  IoVector,
  type Owned,
  pollOne,
  readv,
  type Window,
  writev,
} from "../../os/mod.ts";
import {
  ConsoleConfig,
  DescriptorChain,
  DeviceId,
  type DeviceSource,
  type VirtioDevice,
  type Virtqueue,
} from "../../virtio/mod.ts";

const RECEIVE = 0;
const SEGMENTS = 64;
/** A pipe or terminal that is ready takes at least this much without blocking. */
const AT_ONCE = 4096;
/** How long output that nobody reads may hold up the end of a connection. */
const LAST_WAIT_MS = 100;

/**
 * Console device with one port (virtio 1.2 §5.3) between a guest and descriptors of the host. Neither
 * need be non-blocking: each is asked before it is used. Output waits for its reader, and the guest
 * with it; input waits for the guest.
 *
 * @example
 * ```ts
 * import { DeviceLoop, type Fd, type Owned, Window } from "spectrum";
 *
 * // Serves a console whose output goes to a file.
 * function serveConsole(connection: Owned<Fd>, output: Fd): void {
 *   const window = Window.reserve();
 *   const device = new ConsoleDevice(window, undefined, output);
 *   using loop = new DeviceLoop(device, { window, log: console.error });
 *   loop.serve(connection);
 * }
 * ```
 */
export class ConsoleDevice implements VirtioDevice {
  readonly id = DeviceId.Console;
  readonly features = 0n;
  readonly queueCount = 2;
  readonly config = ConsoleConfig.encode({ maxPorts: 1 });
  readonly sources: readonly DeviceSource[];
  readonly #input: Owned<Fd> | undefined;
  readonly #output: Fd;
  readonly #vector: IoVector;
  readonly #receive = new DescriptorChain(SEGMENTS);
  readonly #send = new DescriptorChain(SEGMENTS);
  /** The queue of the chain in {@link #send} that is not written to its end. */
  #sending: Virtqueue | undefined;
  #sent = 0;

  /** @param input undefined when nothing is ever typed */
  constructor(window: Window, input: Owned<Fd> | undefined, output: Fd) {
    this.#vector = new IoVector(window, SEGMENTS);
    this.#input = input;
    this.#output = output;
    // The loop processes the queues after each event, which is all there is to do.
    const ready = () => {};
    this.sources = [
      ...(input === undefined ? [] : [{ fd: input, ready }]),
      { fd: output, ready, writable: true },
    ];
  }

  process(queue: Virtqueue): void {
    if (queue.index === RECEIVE) this.#read(queue);
    else this.#write(queue);
  }

  /** Output that nobody reads is dropped in the end. */
  settle(): void {
    const queue = this.#sending;
    if (queue === undefined) return;
    pollOne(this.#output, Events.Out, LAST_WAIT_MS);
    if (!this.#writeOut()) queue.complete(this.#send, 0);
    this.#sending = undefined;
  }

  #read(queue: Virtqueue): void {
    const input = this.#input;
    const chain = this.#receive;
    while (input !== undefined && !input.closed && pollOne(input, Events.In, 0) > 0) {
      if (!queue.next(chain)) return;
      this.#vector.clear();
      for (let i = chain.readableCount; i < chain.count; i++) {
        this.#vector.push(chain.offsets[i], chain.lengths[i]);
      }
      const count = this.#vector.count === 0 ? 0 : readv(input, this.#vector);
      if (count > 0 || this.#vector.count === 0) {
        queue.complete(chain, count);
        continue;
      }
      queue.putBack(chain);
      // The end, or an error that would come again.
      input[Symbol.dispose]();
    }
  }

  #write(queue: Virtqueue): void {
    if (this.#sending !== undefined && !this.#writeOut()) return;
    while (queue.next(this.#send)) {
      this.#sending = queue;
      this.#sent = 0;
      if (!this.#writeOut()) return;
    }
  }

  /** Writes on at what is under way. False when the output takes no more for now. */
  #writeOut(): boolean {
    const chain = this.#send;
    while (this.#sent < chain.readableBytes) {
      const ready = pollOne(this.#output, Events.Out, 0);
      if (ready === 0) return false;
      this.#gather(chain);
      const count = writev(this.#output, this.#vector);
      if (count === -Errno.EINTR) continue;
      if (count === -Errno.EAGAIN) return false;
      // Nobody will ever read it.
      if (count <= 0) break;
      this.#sent += count;
    }
    this.#sending?.complete(chain, 0);
    this.#sending = undefined;
    return true;
  }

  #gather(chain: DescriptorChain): void {
    const vector = this.#vector;
    vector.clear();
    let skip = this.#sent;
    for (let i = 0; i < chain.readableCount && vector.bytes < AT_ONCE; i++) {
      const length = chain.lengths[i];
      if (skip >= length) {
        skip -= length;
        continue;
      }
      vector.push(chain.offsets[i] + skip, Math.min(length - skip, AT_ONCE - vector.bytes));
      skip = 0;
    }
  }
}
