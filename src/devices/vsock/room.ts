/** What a connection is promised at least, and while there is enough. */
const LEAST = 64 * 1024;
const PLENTY = 256 * 1024;
/** So many connections have plenty. */
const GENEROUS = 128;

/** How much of a guest's data may wait for programs of the host that do not read: shared out to connections. */
export class Room {
  #left: number;
  /** What of it is kept for connections that are still to come. */
  #reserved: number;

  /** @param connections the most that there are; each gets at least {@linkcode LEAST} */
  constructor(connections: number) {
    this.#reserved = connections * LEAST;
    this.#left = this.#reserved + GENEROUS * (PLENTY - LEAST);
  }

  /** Bytes for one more connection. */
  take(): number {
    this.#reserved -= LEAST;
    const room = this.#left - this.#reserved >= PLENTY ? PLENTY : LEAST;
    this.#left -= room;
    return room;
  }

  giveBack(room: number): void {
    this.#reserved += LEAST;
    this.#left += room;
  }
}
