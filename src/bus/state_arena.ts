import type { SharedState } from "./shared_state.ts";

/** Widest alignment that is of use: a cache line. */
const MAX_ALIGN = 64;

/** More state was asked for than the machine's buffer holds. */
export class StateExhausted extends Error {
  override readonly name = "StateExhausted";
  constructor(readonly wanted: number, readonly left: number) {
    super(`Cannot set aside ${wanted} bytes of device state: ${left} are left`);
  }
}

/**
 * Hands out ranges of the shared state while a machine is assembled. Only one thread does that, once;
 * everyone else learns the offsets from the platform's description.
 */
export class StateArena {
  /** Offset 0 is never handed out, so that it can stand for "none". */
  #next = MAX_ALIGN;

  constructor(readonly state: SharedState) {}

  /** End of what was handed out so far. */
  get used(): number {
    return this.#next;
  }

  /** Offset of `bytes` zeroed bytes, aligned to `align` (a power of two up to 64). Throws StateExhausted. */
  allocate(bytes: number, align = 8): number {
    if (align < 4 || align > MAX_ALIGN || (align & (align - 1)) !== 0) {
      throw new RangeError(`an alignment of ${align} bytes is not a power of two from 4 to 64`);
    }
    const offset = Math.ceil(this.#next / align) * align;
    const end = offset + bytes;
    if (end > this.state.buffer.byteLength) {
      throw new StateExhausted(bytes, this.state.buffer.byteLength - offset);
    }
    this.#next = end;
    return offset;
  }
}
