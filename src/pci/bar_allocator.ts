/** The windows for BARs are used up. */
export class WindowExhausted extends Error {
  override readonly name = "WindowExhausted";
  constructor(readonly size: number) {
    super(`No room for a BAR of ${size} bytes in the machine's PCI window`);
  }
}

/** Places BARs one after the other in a window, each aligned to its size, while a machine is assembled. */
export class BarAllocator {
  #next: number;
  readonly #end: number;

  constructor(window: { readonly base: number; readonly size: number }) {
    this.#next = window.base;
    this.#end = window.base + window.size;
  }

  /** An address for `size` bytes, a power of two. Throws WindowExhausted. */
  allocate(size: number): number {
    const address = Math.ceil(this.#next / size) * size;
    if (address + size > this.#end) throw new WindowExhausted(size);
    this.#next = address + size;
    return address;
  }
}
