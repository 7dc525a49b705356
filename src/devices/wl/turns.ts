import type { Endpoint } from "./endpoint.ts";

/** Who has something for the guest, in the order in which they get their turns. */
export class Turns {
  #waiting: Endpoint[] = [];
  #head = 0;

  get first(): Endpoint | undefined {
    return this.#waiting[this.#head];
  }

  /** Takes a place at the end, if it has none. */
  add(endpoint: Endpoint): void {
    if (endpoint.hasTurn) return;
    endpoint.hasTurn = true;
    this.#waiting.push(endpoint);
  }

  /** The first one has had its turn. */
  next(): void {
    this.#waiting[this.#head].hasTurn = false;
    if (++this.#head < 64) return;
    this.#waiting.splice(0, this.#head);
    this.#head = 0;
  }

  clear(): void {
    for (let i = this.#head; i < this.#waiting.length; i++) this.#waiting[i].hasTurn = false;
    this.#waiting = [];
    this.#head = 0;
  }
}
