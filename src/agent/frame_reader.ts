import { AgentLostError, AgentProtocolError } from "./agent_error.ts";
import { type Frame, HEADER_SIZE, MAX_PAYLOAD } from "./protocol.ts";

/** Frames out of bytes as they come, in a buffer that takes one of the longest. */
export class FrameReader {
  readonly #source: Pick<Deno.Conn, "read">;
  readonly #buffer = new Uint8Array(HEADER_SIZE + MAX_PAYLOAD);
  readonly #view = new DataView(this.#buffer.buffer);
  #start = 0;
  #end = 0;

  constructor(source: Pick<Deno.Conn, "read">) {
    this.#source = source;
  }

  /**
   * A line before the frames, without its end.
   *
   * @param limit longest
   * @throws {AgentLostError} when there is none
   */
  async line(limit: number): Promise<string> {
    for (;;) {
      const have = this.#buffer.subarray(this.#start, this.#end);
      const length = have.indexOf(0x0a);
      if (length > limit || length < 0 && have.length > limit) {
        throw new AgentProtocolError("it said a line without end");
      }
      if (length >= 0) {
        this.#start += length + 1;
        return new TextDecoder().decode(have.subarray(0, length));
      }
      await this.#fill();
    }
  }

  /**
   * The next frame.
   *
   * @throws {AgentLostError} when the other side has ended
   * @throws {AgentProtocolError} when it is longer than one may be
   */
  async next(): Promise<Frame> {
    for (;;) {
      const have = this.#end - this.#start;
      if (have >= HEADER_SIZE) {
        const length = this.#view.getUint32(this.#start, true);
        if (length > MAX_PAYLOAD) {
          throw new AgentProtocolError(`it sent a frame of ${length} bytes`);
        }
        if (have >= HEADER_SIZE + length) {
          const from = this.#start + HEADER_SIZE;
          const type = this.#view.getUint32(this.#start + 4, true);
          this.#start = from + length;
          return { type, payload: this.#buffer.subarray(from, from + length) };
        }
      }
      await this.#fill();
    }
  }

  async #fill(): Promise<void> {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    let count: number | null;
    try {
      count = await this.#source.read(this.#buffer.subarray(this.#end));
    } catch (error) {
      throw new AgentLostError({ cause: error });
    }
    if (count === null) throw new AgentLostError();
    this.#end += count;
  }
}
