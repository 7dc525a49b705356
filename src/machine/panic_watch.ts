const MARK = "Kernel panic - not syncing: ";
const LONGEST = 400;

/**
 * Finds a kernel panic in what a guest writes to its boot console. Stock kernels have no better way to say so: with
 * `panic=-1` a panic looks like any other reset. A guest that lies here only spoils its own exit status.
 */
export class PanicWatch {
  readonly #decoder = new TextDecoder("latin1");
  #tail = "";
  #reason: string | undefined;

  /** The panic's own words, if there was one. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Takes a piece of console output. */
  see(output: Uint8Array): void {
    if (this.#reason !== undefined && this.#tail === "") return;
    this.#tail += this.#decoder.decode(output);
    const start = this.#tail.indexOf(MARK);
    if (start < 0) {
      this.#tail = this.#tail.slice(-MARK.length);
      return;
    }
    const message = this.#tail.slice(start + MARK.length, start + MARK.length + LONGEST);
    const end = message.search(/[\r\n]/);
    const line = end < 0 ? message : message.slice(0, end);
    // It goes to the user's terminal, which a guest must not control.
    this.#reason = line.replaceAll(/[^ -~]/g, "?");
    // With the whole line, or as much of it as anybody wants, there is nothing more to wait for.
    const whole = end >= 0 || message.length === LONGEST;
    this.#tail = whole ? "" : this.#tail.slice(start);
  }
}
