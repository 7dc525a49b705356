import { Events, type Fd, type Owned, type Reactor, read, setNonBlocking } from "../../os/mod.ts";

const BUFFER = 4096;
/** Characters of a line, and lines that are kept. */
const MOST_LINE = 500;
const MOST_KEPT = 5;

/** What a program of others says on its standard error, line by line, until it ends. */
export class SpokenLines implements Disposable {
  readonly #from: Owned<Fd>;
  readonly #onLine: (line: string) => void;
  readonly #buffer = new Uint8Array(BUFFER);
  readonly #kept: string[] = [];
  #partial = "";

  constructor(from: Owned<Fd>, reactor: Reactor, onLine: (line: string) => void) {
    this.#from = from;
    this.#onLine = onLine;
    setNonBlocking(from, true);
    reactor.add(from, () => this.#read(), Events.In);
  }

  /** The last lines, of those that have come so far. */
  get last(): readonly string[] {
    this.#read();
    return this.#kept;
  }

  #read(): void {
    while (!this.#from.closed) {
      const count = read(this.#from, this.#buffer);
      if (count > 0) {
        this.#take(new TextDecoder().decode(this.#buffer.subarray(0, count)));
        continue;
      }
      if (count === 0) this[Symbol.dispose]();
      return;
    }
  }

  #take(text: string): void {
    const [first, ...rest] = text.split("\n");
    this.#partial = (this.#partial + first).slice(0, MOST_LINE);
    for (const next of rest) {
      this.#finish();
      this.#partial = next.slice(0, MOST_LINE);
    }
  }

  #finish(): void {
    // It may quote a guest, who may not drive a terminal.
    const line = this.#partial.replaceAll(/\p{Cc}/gu, " ").trim();
    this.#partial = "";
    if (line === "") return;
    if (this.#kept.length === MOST_KEPT) this.#kept.shift();
    this.#kept.push(line);
    this.#onLine(line);
  }

  [Symbol.dispose](): void {
    this.#finish();
    this.#from[Symbol.dispose]();
  }
}
