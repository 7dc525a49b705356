/** A stream, read by the number of bytes that are wanted. */
export class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** @throws {Error} when the stream ends before */
  async exactly(length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const part = await this.#next(length - at);
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  async skip(length: number): Promise<void> {
    for (let left = length; left > 0;) left -= (await this.#next(left)).length;
  }

  /** The next bytes in pieces as they come; `left` says how many of them were not taken yet. */
  async *some(left: { bytes: number }): AsyncGenerator<Uint8Array> {
    while (left.bytes > 0) {
      const part = await this.#next(left.bytes);
      left.bytes -= part.length;
      yield part;
    }
  }

  /** Reads to the end, so that whoever writes can end, too. */
  async drain(): Promise<void> {
    while (!(await this.#reader.read()).done);
  }

  async #next(most: number): Promise<Uint8Array> {
    while (this.#chunk.length === 0) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error("it ends in the middle");
      this.#chunk = value;
    }
    const part = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(most);
    return part;
  }
}
