/** What a guest has of the host at a time. */
export interface Amounts {
  vfds: number;
  /** Connections that it opened. */
  contexts: number;
  /** Bytes of memory that it allocated. */
  memory: number;
}

/** What counts against the limits of a guest. */
export class Account {
  readonly #used: Amounts = { vfds: 0, contexts: 0, memory: 0 };
  readonly #limits: Readonly<Amounts>;

  constructor(limits: Readonly<Amounts>) {
    this.#limits = limits;
  }

  get used(): Readonly<Amounts> {
    return this.#used;
  }

  /** Undefined when it would be too much. */
  charge(amounts: Partial<Amounts>): Charge | undefined {
    const { vfds = 0, contexts = 0, memory = 0 } = amounts;
    const used = this.#used, limits = this.#limits;
    const fits = used.vfds + vfds <= limits.vfds && used.contexts + contexts <= limits.contexts &&
      used.memory + memory <= limits.memory;
    if (!fits) return undefined;
    this.#add(vfds, contexts, memory);
    return new Charge(() => this.#add(-vfds, -contexts, -memory));
  }

  #add(vfds: number, contexts: number, memory: number): void {
    this.#used.vfds += vfds;
    this.#used.contexts += contexts;
    this.#used.memory += memory;
  }
}

/** What one VFD costs, until everybody who has a part in it has let go. */
export class Charge {
  #users = 1;
  readonly #free: () => void;

  /** @param free it costs nothing any more */
  constructor(free: () => void) {
    this.#free = free;
  }

  hold(): void {
    this.#users++;
  }

  release(): void {
    if (--this.#users === 0) this.#free();
  }
}
