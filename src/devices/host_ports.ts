import type { Fd, Owned } from "../os/mod.ts";
import type { VsockOptions } from "./vsock/mod.ts";

type Answer = Parameters<VsockOptions["connect"]>[1];

/** What a device wants connected, until the monitor has answered. */
export class HostPorts {
  readonly #ask: (wish: number, port: number) => void;
  readonly #wishes = new Map<number, Answer>();
  #lastWish = 0;

  /** @param ask sends a wish to the monitor */
  constructor(ask: (wish: number, port: number) => void) {
    this.#ask = ask;
  }

  /** Wishes for a connection to a port of the host. */
  connect(port: number, answer: Answer): void {
    this.#wishes.set(++this.#lastWish, answer);
    this.#ask(this.#lastWish, port);
  }

  /** The monitor has answered. @param socket moves in here */
  answered(wish: number, socket: Owned<Fd> | undefined): void {
    const answer = this.#wishes.get(wish);
    this.#wishes.delete(wish);
    if (answer === undefined) socket?.[Symbol.dispose]();
    else answer(socket);
  }
}
