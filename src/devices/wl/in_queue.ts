import type { Window } from "../../os/mod.ts";
import { DescriptorChain, type Virtqueue } from "../../virtio/mod.ts";

/** A buffer of the driver is one piece, or a few. */
const SEGMENTS = 16;

/**
 * Messages to the guest. One that finds no buffer waits; whoever looks at {@link InQueue.ready} first never makes more than
 * one message with its descriptors wait. Buffers are taken and used only while the queue is processed.
 */
export class InQueue {
  readonly #window: Window;
  readonly #chain = new DescriptorChain(SEGMENTS);
  readonly #waiting: Uint8Array[] = [];
  #queue: Virtqueue | undefined;
  #hasChain = false;

  constructor(window: Window) {
    this.#window = window;
  }

  /** The queue is processed, now. */
  begin(queue: Virtqueue): void {
    this.#queue = queue;
    while (this.#waiting.length > 0 && this.#take()) {
      const message = this.#waiting.shift();
      if (message !== undefined) this.#write(message);
    }
  }

  /** It is not, any more. */
  end(): void {
    if (this.#hasChain) this.#queue?.putBack(this.#chain);
    this.#hasChain = false;
    this.#queue = undefined;
  }

  /** Nothing waits, and there is a buffer for the next message. */
  get ready(): boolean {
    return this.#waiting.length === 0 && this.#take();
  }

  /** @param message at most as long as a buffer; the caller's when this returns */
  send(message: Uint8Array): void {
    if (this.ready) this.#write(message);
    else this.#waiting.push(message.slice());
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting.length = 0;
  }

  #take(): boolean {
    this.#hasChain ||= this.#queue?.next(this.#chain) === true;
    return this.#hasChain;
  }

  /** A driver whose buffer is too short gets what fits. */
  #write(message: Uint8Array): void {
    const written = writeChain(this.#window, this.#chain, message);
    this.#hasChain = false;
    this.#queue?.complete(this.#chain, written);
  }
}

/** Copies bytes to the writable pieces of a chain, as far as they go. */
export function writeChain(window: Window, chain: DescriptorChain, bytes: Uint8Array): number {
  let done = 0;
  for (let i = chain.readableCount; i < chain.count && done < bytes.length; i++) {
    const length = Math.min(chain.lengths[i], bytes.length - done);
    window.bytes(chain.offsets[i], length).set(bytes.subarray(done, done + length));
    done += length;
  }
  return done;
}

/** Copies bytes out of the readable pieces of a chain, from a position on; fewer when there are no more. */
export function readChain(
  window: Window,
  chain: DescriptorChain,
  into: Uint8Array,
  from = 0,
): number {
  let done = 0;
  let skip = from;
  for (let i = 0; i < chain.readableCount && done < into.length; i++) {
    const length = Math.min(chain.lengths[i] - skip, into.length - done);
    if (length > 0) {
      into.set(window.bytes(chain.offsets[i] + skip, length), done);
      done += length;
    }
    skip = Math.max(0, skip - chain.lengths[i]);
  }
  return done;
}
