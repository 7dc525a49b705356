import { Events, type Fd, Poller } from "../os/mod.ts";

/** Whose descriptor is watched. */
export interface Watched {
  /** A mask of {@link Events}. */
  happened(events: number): void;
}

/** Pairs of tag and events that are taken at a time. */
const AT_ONCE = 64;

/** Waits for what happens to descriptors, whose number changes all the time. */
export class Watcher implements Disposable {
  readonly #poller = new Poller();
  readonly #watched: (Watched | undefined)[] = [];
  readonly #freePlaces: number[] = [];
  readonly #happened = new Uint32Array(2 * AT_ONCE);

  /** Readable while something has happened. */
  get fd(): Fd {
    return this.#poller.fd;
  }

  /**
   * Begins to wait; what happens is told once.
   *
   * @returns the place, for the other calls
   */
  add(watched: Watched, fd: Fd, events: number): number {
    const place = this.#freePlaces.at(-1) ?? this.#watched.length;
    this.#poller.add(fd, place, events | Events.EdgeTriggered);
    this.#freePlaces.pop();
    this.#watched[place] = watched;
    return place;
  }

  /** Waits for something else. What is the case already is told again. */
  change(place: number, fd: Fd, events: number): void {
    this.#poller.change(fd, place, events | Events.EdgeTriggered);
  }

  remove(place: number, fd: Fd): void {
    this.#poller.remove(fd);
    this.#watched[place] = undefined;
    this.#freePlaces.push(place);
  }

  /** Tells everybody what has happened. */
  tell(): void {
    let count;
    do {
      count = this.#poller.take(this.#happened);
      for (let i = 0; i < count; i++) {
        this.#watched[this.#happened[2 * i]]?.happened(this.#happened[2 * i + 1]);
      }
    } while (count === AT_ONCE);
  }

  [Symbol.dispose](): void {
    this.#poller[Symbol.dispose]();
  }
}
