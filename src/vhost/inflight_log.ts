import { readU64, writeU64 } from "../codec/mod.ts";
import type { CompletionLog } from "../virtio/mod.ts";
import { BackendRefusal } from "./backend_refusal.ts";
import { InflightDescriptor, InflightQueue } from "./payloads.ts";

const VERSION = 1;
const ALIGN = 64;
const { inflight, next, counter } = InflightDescriptor.offset;
const { version, descriptorCount, lastBatchHead, usedIndex } = InflightQueue.offset;

/** Bytes that the notes of one split queue of so many descriptors take. */
export function inflightQueueBytes(queueSize: number): number {
  const bytes = InflightQueue.size + queueSize * InflightDescriptor.size;
  return Math.ceil(bytes / ALIGN) * ALIGN;
}

/** Where a queue goes on after its backend was replaced. */
export interface Recovery {
  /** Index in the available ring; undefined when there was no predecessor. */
  readonly base: number | undefined;
  /** Heads of the chains that were taken and not completed, in the order in which they were taken. */
  readonly resubmit: number[];
}

/**
 * What a backend works on, noted in memory that outlives it ("Inflight I/O tracking", split
 * virtqueues). The process may end between any two writes, so their order matters; the used index of
 * the ring decides which of them count. The memory comes back from a frontend: its contents are
 * checked like anything else.
 */
export class InflightLog implements CompletionLog {
  readonly #first: number;
  #counter = 0;

  /**
   * @param start window offset of this queue's notes
   * @param size descriptors of the queue
   */
  constructor(
    private readonly view: DataView,
    private readonly start: number,
    private readonly size: number,
  ) {
    this.#first = start + InflightQueue.size;
  }

  /**
   * Reads what a predecessor left, and makes the notes good for this one.
   *
   * @param ringUsedIndex the used index as it is in the ring
   * @throws BackendRefusal when they are of another format or queue
   */
  recover(ringUsedIndex: number): Recovery {
    const { view, start, size } = this;
    const found = view.getUint16(start + version, true);
    if (found === 0) {
      view.setUint16(start + descriptorCount, size, true);
      view.setUint16(start + usedIndex, ringUsedIndex, true);
      view.setUint16(start + version, VERSION, true);
      return { base: undefined, resubmit: [] };
    }
    const count = view.getUint16(start + descriptorCount, true);
    if (found !== VERSION || count !== size) {
      throw new BackendRefusal(`in-flight notes of version ${found} for ${count} descriptors`);
    }
    this.#finishBatch(ringUsedIndex);
    const resubmit: { head: number; when: number }[] = [];
    for (let head = 0; head < size; head++) {
      const at = this.#at(head);
      if (view.getUint8(at + inflight) !== 1) continue;
      resubmit.push({ head, when: readU64(view, at + counter) });
    }
    resubmit.sort((a, b) => a.when - b.when);
    const last = resubmit[resubmit.length - 1]?.when ?? 0;
    this.#counter = last < Number.MAX_SAFE_INTEGER ? last + 1 : 0;
    return {
      base: (ringUsedIndex + resubmit.length) & 0xffff,
      resubmit: resubmit.map(({ head }) => head),
    };
  }

  /** The predecessor ended between publishing a batch and noting that it had. */
  #finishBatch(ringUsedIndex: number): void {
    const { view, start } = this;
    const noted = view.getUint16(start + usedIndex, true);
    let left = Math.min((ringUsedIndex - noted) & 0xffff, this.size);
    let head = view.getUint16(start + lastBatchHead, true);
    while (left-- > 0 && head < this.size) {
      view.setUint8(this.#at(head) + inflight, 0);
      head = view.getUint16(this.#at(head) + next, true);
    }
    view.setUint16(start + usedIndex, ringUsedIndex, true);
  }

  taken(head: number): void {
    const at = this.#at(head);
    writeU64(this.view, at + counter, this.#counter++);
    this.view.setUint8(at + inflight, 1);
  }

  putBack(head: number): void {
    this.view.setUint8(this.#at(head) + inflight, 0);
  }

  completing(head: number): void {
    const { view, start } = this;
    view.setUint16(this.#at(head) + next, view.getUint16(start + lastBatchHead, true), true);
    view.setUint16(start + lastBatchHead, head, true);
  }

  completed(head: number): void {
    this.view.setUint8(this.#at(head) + inflight, 0);
  }

  published(index: number): void {
    this.view.setUint16(this.start + usedIndex, index, true);
  }

  #at(head: number): number {
    return this.#first + head * InflightDescriptor.size;
  }
}
