/** Pieces shorter than that are gathered in a buffer of this size: a guest may send its bytes one by one. */
const GATHERED = 16_384;

/** What a command prints, as a stream; what nobody has read yet is kept here, as much as was granted. */
export class OutputStream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #chunks: Uint8Array<ArrayBuffer>[] = [];
  readonly #taken: (length: number) => void;
  #wake = () => {};
  #over = false;
  #failure: unknown;
  #discarding = false;

  /** @param taken is told how many bytes somebody has read */
  constructor(taken: (length: number) => void) {
    this.#taken = taken;
    this.readable = new ReadableStream({
      pull: (controller) => this.#pull(controller),
      cancel: () => this.#discard(),
    }, { highWaterMark: 0 });
  }

  /** Adds a copy of what has come. */
  push(bytes: Uint8Array): void {
    if (this.#discarding) return this.#taken(bytes.length);
    if (!this.#append(bytes)) {
      const buffer = new Uint8Array(Math.max(bytes.length, GATHERED));
      buffer.set(bytes);
      this.#chunks.push(buffer.subarray(0, bytes.length));
    }
    this.#wake();
  }

  /** Puts bytes behind the last ones, where their buffer has room. */
  #append(bytes: Uint8Array): boolean {
    const last = this.#chunks.at(-1);
    if (last === undefined || last.length + bytes.length > last.buffer.byteLength) return false;
    const longer = new Uint8Array(last.buffer, 0, last.length + bytes.length);
    longer.set(bytes, last.length);
    this.#chunks[this.#chunks.length - 1] = longer;
    return true;
  }

  /** Ends it behind what has come. @param failure why it ends too early */
  end(failure?: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#failure = failure;
    this.#wake();
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    while (this.#chunks.length === 0 && !this.#over) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const bytes = this.#chunks.shift();
    if (bytes !== undefined) {
      controller.enqueue(bytes);
      this.#taken(bytes.length);
    } else if (this.#failure !== undefined) controller.error(this.#failure);
    else controller.close();
  }

  #discard(): void {
    this.#discarding = true;
    for (const { length } of this.#chunks.splice(0)) this.#taken(length);
    this.#wake();
  }
}
