import { type Fd, fileStat, PAGE_SIZE, type Window } from "../os/mod.ts";
import { MAX_QUEUE_SIZE } from "../virtio/mod.ts";
import { BackendRefusal } from "./backend_refusal.ts";
import { InflightLog, inflightQueueBytes } from "./inflight_log.ts";

/** What the "Inflight description" says about the region. */
export interface InflightShape {
  readonly mmapSize: number;
  readonly mmapOffset: number;
  readonly queueCount: number;
  readonly queueSize: number;
}

/** Bytes of the region for so many queues of that size. Throws BackendRefusal for what cannot be. */
export function inflightBytes(queueCount: number, queueSize: number): number {
  if (queueCount < 1 || queueSize < 1 || queueSize > MAX_QUEUE_SIZE) {
    throw new BackendRefusal(`in-flight notes for ${queueCount} queues of ${queueSize}`);
  }
  return queueCount * inflightQueueBytes(queueSize);
}

/** The region of in-flight notes of all queues, mapped. Whoever sent it may cut it off: then this process dies. */
export class InflightMemory implements Disposable {
  readonly #window: Window;
  readonly #start: number;
  readonly #length: number;

  /** @throws BackendRefusal when the descriptor has no such region */
  constructor(window: Window, private readonly shape: InflightShape, fd: Fd) {
    const { mmapSize, mmapOffset, queueCount, queueSize } = shape;
    const needed = inflightBytes(queueCount, queueSize);
    const stat = fileStat(fd);
    const end = mmapOffset + mmapSize;
    if (mmapSize < needed || mmapOffset % PAGE_SIZE !== 0 || !(end <= stat.size)) {
      throw new BackendRefusal(
        `in-flight notes take ${needed} bytes; ${mmapSize} at ${mmapOffset} of ${stat.size} came`,
      );
    }
    this.#window = window;
    this.#length = needed;
    this.#start = window.allocate(needed);
    try {
      window.mapFd(this.#start, needed, fd, mmapOffset);
    } catch (error) {
      window.free(this.#start, needed);
      throw new BackendRefusal(error instanceof Error ? error.message : String(error));
    }
  }

  /** The notes of a queue; undefined when it is too large or was not thought of. */
  log(queueIndex: number, queueSize: number): InflightLog | undefined {
    const { queueCount, queueSize: most } = this.shape;
    if (queueIndex >= queueCount || queueSize > most) return undefined;
    const start = this.#start + queueIndex * inflightQueueBytes(most);
    return new InflightLog(this.#window.view, start, queueSize);
  }

  [Symbol.dispose](): void {
    this.#window.free(this.#start, this.#length);
  }
}
