import type { VmEvent } from "./vm_control.ts";

/** Events that one listener may leave unread; of more, the oldest are dropped. */
const MOST_UNREAD = 1000;

/** Tells what happens to a VM to whoever listens. */
export class VmEvents {
  readonly #listeners = new Set<Listener>();
  #ended = false;

  add(event: Omit<VmEvent, "time">): void {
    const timed = { time: new Date().toISOString(), ...event };
    for (const listener of this.#listeners) listener.put(timed);
  }

  /** All listeners get what they have not read yet, and then their end. */
  end(): void {
    this.#ended = true;
    for (const listener of this.#listeners) listener.end();
    this.#listeners.clear();
  }

  /** Events from this call on. */
  listen(signal?: AbortSignal): AsyncIterableIterator<VmEvent> {
    const listener = new Listener();
    if (this.#ended || signal?.aborted) listener.end();
    else this.#listeners.add(listener);
    const stop = () => {
      this.#listeners.delete(listener);
      listener.end();
    };
    signal?.addEventListener("abort", stop, { once: true });
    return listener.read(() => {
      signal?.removeEventListener("abort", stop);
      stop();
    });
  }
}

class Listener {
  readonly #unread: VmEvent[] = [];
  #wake = () => {};
  #ended = false;

  put(event: VmEvent): void {
    if (this.#unread.length === MOST_UNREAD) this.#unread.shift();
    this.#unread.push(event);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  read(done: () => void): AsyncIterableIterator<VmEvent> {
    const iterator: AsyncIterableIterator<VmEvent> = {
      [Symbol.asyncIterator]: () => iterator,
      next: async () => {
        while (this.#unread.length === 0 && !this.#ended) {
          await new Promise<void>((resolve) => this.#wake = resolve);
        }
        const value = this.#unread.shift();
        return value === undefined ? { done: true, value } : { done: false, value };
      },
      return: () => {
        done();
        this.#unread.length = 0;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
    return iterator;
  }
}
