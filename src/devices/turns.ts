/** Who takes turns. */
export interface Taker {
  /** It is in the list. */
  hasTurn: boolean;
}

/** Who has something for the guest, in the order in which they get their turns. */
export class Turns<T extends Taker> {
  #waiting: T[] = [];
  #head = 0;

  get first(): T | undefined {
    return this.#waiting[this.#head];
  }

  /** Takes a place at the end, if it has none. */
  add(taker: T): void {
    if (taker.hasTurn) return;
    taker.hasTurn = true;
    this.#waiting.push(taker);
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
