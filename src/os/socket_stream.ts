import { Errno } from "./errno.ts";
import type { Fd, Owned } from "./fd.ts";
import { read } from "./file.ts";
import { sendMessage } from "./message.ts";
import { Events } from "./poller.ts";
import type { Reactor } from "./reactor.ts";
import { setNonBlocking } from "./unix_socket.ts";

const CHUNK = 16384;

/**
 * A connected socket as a stream: nobody waits on it but who reads or writes it. One may read and one may write at a
 * time. Nothing here throws for what the other side does.
 */
export class SocketStream implements Disposable {
  readonly #fd: Owned<Fd>;
  readonly #reactor: Reactor;
  readonly #stopWatching: () => void;
  readonly #buffer = new Uint8Array(CHUNK);
  readonly #gone = Promise.withResolvers<void>();
  #isGone = false;
  #reader: (() => void) | undefined;
  #writer: (() => void) | undefined;

  /** @param fd becomes the stream's */
  constructor(fd: Owned<Fd>, reactor: Reactor) {
    this.#fd = fd.move();
    this.#reactor = reactor;
    setNonBlocking(this.#fd, true);
    this.#stopWatching = reactor.add(this.#fd, (events) => this.#ready(events), 0);
  }

  /** Resolves when the other side has closed both ways, or this one is disposed of. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /**
   * What came in next.
   *
   * @param limitMs for how long to wait
   * @returns undefined when nothing more will come, `late` when nothing came in time
   */
  async read(limitMs?: number): Promise<Uint8Array | "late" | undefined> {
    const until = limitMs === undefined ? Infinity : performance.now() + limitMs;
    for (;;) {
      if (this.#fd.closed) return undefined;
      const count = read(this.#fd, this.#buffer);
      if (count > 0) return this.#buffer.slice(0, count);
      if (count === -Errno.EINTR) continue;
      if (count !== -Errno.EAGAIN || this.#isGone) return undefined;
      const left = until - performance.now();
      if (left <= 0) return "late";
      await this.#wait("reader", left);
    }
  }

  /**
   * Sends all of the bytes; resolves when the system has the last.
   *
   * @param limitMs for how long to wait for room
   * @returns false when the other side is gone, or did not read in time
   */
  async write(bytes: Uint8Array, limitMs?: number): Promise<boolean> {
    const until = limitMs === undefined ? Infinity : performance.now() + limitMs;
    for (let done = 0; done < bytes.length;) {
      if (this.#isGone) return false;
      const count = sendMessage(this.#fd, bytes.subarray(done));
      if (count >= 0) {
        done += count;
        continue;
      }
      const left = until - performance.now();
      if (count !== -Errno.EAGAIN || left <= 0) return false;
      await this.#wait("writer", left);
    }
    return true;
  }

  /** Waits until the socket may be ready for one of the two, or it is gone, or the time is over. */
  async #wait(who: "reader" | "writer", limitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = limitMs === Infinity ? undefined : setTimeout(resolve, limitMs);
    if (who === "reader") this.#reader = resolve;
    else this.#writer = resolve;
    this.#watch();
    await promise;
    clearTimeout(timer);
    if (who === "reader") this.#reader = undefined;
    else this.#writer = undefined;
    this.#watch();
  }

  /** Only for what somebody waits for: data that nobody wants yet would call back again and again. */
  #watch(): void {
    if (this.#isGone) return;
    const reading = this.#reader === undefined ? 0 : Events.In;
    this.#reactor.change(this.#fd, reading | (this.#writer === undefined ? 0 : Events.Out));
  }

  #ready(events: number): void {
    // Told again and again, too; what is there can still be read.
    if (events & (Events.HangUp | Events.Error)) this.#leave();
    if (events & Events.In) this.#reader?.();
    if (events & Events.Out) this.#writer?.();
  }

  #leave(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#stopWatching();
    this.#reader?.();
    this.#writer?.();
    this.#gone.resolve();
  }

  [Symbol.dispose](): void {
    this.#leave();
    this.#fd[Symbol.dispose]();
  }
}
