import { Events, type Reactor } from "../../os/mod.ts";
import type { Transport } from "../../msg/mod.ts";
import { Lane } from "./lane.ts";
import type { LocalEnd } from "./local_end.ts";

const WATCHED = Events.In | Events.Out | Events.PeerClosed | Events.EdgeTriggered;

/**
 * Hands on between a program in the guest and a context, both ways, until both have ended.
 *
 * A program that ends its direction only is still given what the host sends; the host is not told, since a context knows
 * no half of a close. When the host hangs up, the program reads the end of the stream.
 */
export class Relay implements Disposable {
  readonly #local: LocalEnd;
  readonly #remote: Transport;
  readonly #toHost: Lane;
  readonly #toGuest: Lane;
  readonly #onEnd: (error?: Error) => void;
  readonly #stack = new DisposableStack();
  #localIsGone = false;
  #endWasTold = false;
  #again: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param local moves in here
   * @param remote moves in here
   * @param onEnd called once, with the reason if there is one beside a close, unless this object is disposed of
   */
  constructor(
    local: LocalEnd,
    remote: Transport,
    reactor: Reactor,
    onEnd: (error?: Error) => void,
  ) {
    this.#local = this.#stack.use(local);
    this.#remote = this.#stack.use(remote);
    this.#toHost = this.#stack.use(new Lane(local, remote));
    this.#toGuest = this.#stack.use(new Lane(remote, local));
    this.#onEnd = onEnd;
    // Edges: what nobody waits for, such as the hang-up of a side whose data is still held, must not call again and again.
    this.#stack.defer(reactor.add(local.fd, (events) => {
      if (events & (Events.HangUp | Events.Error)) this.#localIsGone = true;
      this.#move();
    }, WATCHED));
    this.#stack.defer(reactor.add(remote.fd, () => this.#move(), WATCHED));
  }

  #move(): void {
    if (this.#stack.disposed) return;
    try {
      const up = this.#toHost.turn();
      const down = this.#toGuest.turn();
      if (down === "ended" && !this.#endWasTold) {
        this.#endWasTold = true;
        if (!this.#localIsGone) this.#local.end();
      }
      if (this.#toHost.isOver && (this.#toGuest.isOver || this.#localIsGone)) return this.#end();
      if (up === "more" || down === "more") {
        this.#again ??= setTimeout(() => {
          this.#again = undefined;
          this.#move();
        }, 0);
      }
    } catch (error) {
      this.#end(error as Error);
    }
  }

  #end(error?: Error): void {
    this[Symbol.dispose]();
    this.#onEnd(error);
  }

  /** Closes both sides. */
  [Symbol.dispose](): void {
    clearTimeout(this.#again);
    this.#stack.dispose();
  }
}
